import { setTimeout as wait } from "node:timers/promises";
import { AIMessage, type BaseMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import { type StructuredTool, tool } from "@langchain/core/tools";
import { Annotation, END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import type { ChatOpenAI } from "@langchain/openai";
import { CallLog } from "../arms/call-log.ts";
import type { AppParts } from "../arms/play-arm.ts";
import { timedAnswer } from "../arms/timed-answer.ts";
import type { DemoTool, Member } from "./member.ts";
import { declaredNext, MOST_STEPS, namedNext, type Random, type Route, team } from "./routing.ts";
import architect from "./team/architect.ts";
import coder from "./team/coder.ts";
import documenter from "./team/documenter.ts";
import planner from "./team/planner.ts";
import reviewer from "./team/reviewer.ts";
import tester from "./team/tester.ts";
import { Workspace } from "./workspace.ts";

/** What one run needs besides its messages; the same in every arm. */
export interface RunPlan {
  readonly task: string;
  /** Agents in order; the llm router takes over where the model names one. */
  readonly path: readonly string[];
  readonly random: Random;
  /** Answers pinned by the first arm that played this run; later arms put the same text into the messages. */
  readonly answers: Map<number, string>;
}

/** What is measured of the team, and where its model left the path. */
export class TeamLog extends CallLog {
  /** Model answers that differed from the one pinned for that call. */
  differingAnswers = 0;
  /** Turns in which the llm router found no `NEXT:` line and the table decided. */
  unnamedRoutes = 0;
}

export interface TeamOptions {
  readonly model: ChatOpenAI;
  readonly toolMs: number;
  readonly route: Route;
  readonly log: TeamLog;
  /** Put before every system message, so that arms on one running server cannot find each other's prefixes. */
  readonly nonce: string;
  /** There when the app says who is next as soon as the model has answered. */
  readonly announce?: AppParts["announce"];
}

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  step: Annotation<number>({ reducer: (_, next) => next, default: () => 0 }),
  named: Annotation<string | undefined>({ reducer: (_, next) => next, default: () => undefined }),
});

const members: readonly Member[] = [planner, architect, coder, tester, reviewer, documenter];

/** For each agent a call of the model that begins as its prompts will. */
export function firstCalls({ model, nonce }: TeamOptions): readonly (readonly [string, () => unknown])[] {
  return members.map((member) => {
    const tools = member.tools.map((one) => langchainTool(one, new Workspace(), 0, () => 0));
    return [member.name, () => model.bindTools(tools).invoke([systemMessage(member, nonce)])];
  });
}

/** The demo's LangGraph.js app: six agents with shared messages, tools that take time, conditional hand-overs. */
export function buildTeam(options: TeamOptions) {
  const builder = new StateGraph(State);
  let graph = builder as unknown as StateGraph<
    typeof State.spec,
    typeof State.State,
    typeof State.Update,
    string
  >;
  for (const member of members) graph = graph.addNode(member.name, node(member, options)) as typeof graph;
  for (const name of team)
    graph.addConditionalEdges(name, (state, config) => route(state, plan(config), options), [
      ...declaredNext(name, options.route),
    ]);
  return graph.addEdge(START, "planner").compile();
}

/** Config of one run: the plan travels beside the state, so that nothing of it reaches a prompt. */
export function runConfig(runPlan: RunPlan, threadId: string, signal: AbortSignal) {
  return {
    configurable: { thread_id: threadId, plan: runPlan, workspace: new Workspace() },
    recursionLimit: 50,
    signal,
  };
}

function node(member: Member, { model, toolMs, log, nonce, route: by, announce }: TeamOptions) {
  return async (state: typeof State.State, config: RunnableConfig) => {
    const { task, random, answers } = plan(config);
    const workspace = config.configurable?.["workspace"] as Workspace;
    const tools = member.tools.map((one) => langchainTool(one, workspace, toolMs, random));
    const prompt: BaseMessage[] = [systemMessage(member, nonce), ...state.messages];
    const { text: answer, record } = await timedAnswer(model.bindTools(tools), prompt, member.name, config);
    log.calls.push(record);
    const pinned = answers.get(state.step);
    if (pinned === undefined) answers.set(state.step, answer);
    else if (pinned !== answer) log.differingAnswers++;
    const turn = { step: state.step + 1, named: namedNext(answer) };
    announce?.(nextOf(turn, plan(config), by));
    const call = member.act({ task, step: state.step, random }, workspace);
    const chosen = tools.find(({ name }) => name === call.tool);
    const result: unknown = await chosen?.invoke(call.args, config);
    return {
      messages: [
        new AIMessage({ content: pinned ?? answer, name: member.name }),
        new HumanMessage({ content: `[${call.tool}] ${String(result)}` }),
      ],
      ...turn,
    };
  };
}

function systemMessage({ system }: Member, nonce: string): SystemMessage {
  return new SystemMessage(nonce + system);
}

function route(state: typeof State.State, runPlan: RunPlan, { route: by, log }: TeamOptions): string {
  if (isModels(state, by) && state.named === undefined) log.unnamedRoutes++;
  return nextOf(state, runPlan, by);
}

type TurnEnd = Pick<typeof State.State, "step" | "named">;

/** Who follows after a turn; END: nobody. */
function nextOf(turn: TurnEnd, { path }: RunPlan, by: Route): string {
  return (isModels(turn, by) ? turn.named : undefined) ?? path[turn.step] ?? END;
}

/** Whether it is for the model to say. */
function isModels({ step }: TurnEnd, by: Route): boolean {
  return by === "llm" && step < MOST_STEPS;
}

function plan(config: RunnableConfig): RunPlan {
  return config.configurable?.["plan"] as RunPlan;
}

/** Takes between half and one and a half times `toolMs`, by seed, as a real tool would take its time. */
function langchainTool(own: DemoTool, workspace: Workspace, toolMs: number, random: Random): StructuredTool {
  return tool(
    async (args: Record<string, unknown>, config: RunnableConfig) => {
      const takes = toolMs * (0.5 + random());
      if (takes > 0) await wait(takes, undefined, config.signal ? { signal: config.signal } : {});
      return own.run(args, workspace);
    },
    { name: own.name, description: own.description, schema: own.schema },
  ) as unknown as StructuredTool;
}
