import { setTimeout as wait } from "node:timers/promises";
import type { RunnableConfig } from "@langchain/core/runnables";
import { type StructuredTool, tool } from "@langchain/core/tools";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { z } from "zod";
import { CallLog, type CallRecord } from "../arms/call-log.ts";
import type { AppParts } from "../arms/play-arm.ts";
import { timedAnswer } from "../arms/timed-answer.ts";
import type { RecordedCall, RecordedRun } from "../sim/workload.ts";
import type { PromptTree } from "./prompt-tree.ts";

/** A recorded call with what was measured when it was played. */
export interface PlayedCall {
  readonly call: RecordedCall;
  /** Index of its part of a run. */
  readonly run: number;
  readonly isLast: boolean;
  readonly record: CallRecord;
}

/** What is measured while recorded runs are played. */
export class TraceLog extends CallLog {
  readonly played: PlayedCall[] = [];
}

/** One call to play. */
export interface PlannedCall {
  readonly call: RecordedCall;
  readonly answerTokens: number;
  /** Milliseconds from the answer to the next call of the run, or of its thread. */
  readonly gapMs: number;
  readonly endsRun: boolean;
}

/** One part of a recorded run to play, or of a thread's runs. */
export interface PlannedRun {
  readonly recorded: RecordedRun;
  readonly calls: readonly PlannedCall[];
}

export interface TraceGraphOptions extends AppParts {
  readonly tree: PromptTree;
  readonly agents: readonly string[];
  readonly log: TraceLog;
}

const State = Annotation.Root({
  callsMade: Annotation<number>({ reducer: (_, next) => next, default: () => 0 }),
});

/**
 * A LangGraph.js app that does what was recorded: each recorded agent is a node, and routing follows the record. That any
 * agent may follow any other is all that the graph declares, since the recorded app's own graph is not known.
 */
export function buildTraceGraph(options: TraceGraphOptions) {
  const names = nodeNames(options.agents);
  const builder = new StateGraph(State);
  let graph = builder as unknown as StateGraph<
    typeof State.spec,
    typeof State.State,
    typeof State.Update,
    string
  >;
  const nodes = [...names.values()];
  for (const [agent, name] of names) graph = graph.addNode(name, node(agent, names, options)) as typeof graph;
  const follow = ({ callsMade }: typeof State.State, config: RunnableConfig) =>
    nodeOf(names, planOf(config), callsMade);
  graph.addConditionalEdges(START, follow, nodes);
  for (const name of nodes) graph.addConditionalEdges(name, follow, [...nodes, END]);
  return graph.compile();
}

/** Plays a part on a thread of its own, run by run. */
export async function playRuns(
  graph: ReturnType<typeof buildTraceGraph>,
  { calls }: PlannedRun,
  index: number,
  signal: AbortSignal,
): Promise<void> {
  for (let from = 0; from < calls.length;) {
    const end = calls.findIndex(({ endsRun }, at) => at >= from && endsRun);
    const until = end < 0 ? calls.length : end + 1;
    const plan: PlannedTurn = { calls: calls.slice(from, until), isLast: until === calls.length };
    await graph.invoke(
      { callsMade: 0 },
      {
        configurable: { thread_id: `run-${index}`, plan, run: index },
        recursionLimit: plan.calls.length + 5,
        signal,
      },
    );
    if (!plan.isLast) await wait(plan.calls.at(-1)?.gapMs, undefined, { signal });
    from = until;
  }
}

/** What one invocation plays; it travels beside the state. */
interface PlannedTurn {
  readonly calls: readonly PlannedCall[];
  /** No other follows on its thread. */
  readonly isLast: boolean;
}

function node(
  agent: string,
  names: ReadonlyMap<string, string>,
  { tree, modelOf, log, announce }: TraceGraphOptions,
) {
  return async ({ callsMade }: typeof State.State, config: RunnableConfig) => {
    const { calls, isLast } = planOf(config);
    const planned = calls[callsMade] as PlannedCall;
    const { call, answerTokens, gapMs } = planned;
    const { record } = await timedAnswer(modelOf(answerTokens), tree.messages(call), agent, config);
    log.calls.push(record);
    const isEnd = callsMade === calls.length - 1;
    announce?.(nodeOf(names, planOf(config), callsMade + 1));
    const run = config.configurable?.["run"] as number;
    log.played.push({ call, run, isLast: isLast && isEnd, record });
    if (!isEnd && gapMs > 0) await pause(call, gapMs, config);
    return { callsMade: callsMade + 1 };
  };
}

/** What the agent does between its answer and the next call: a tool where the record says so, else its own code. */
async function pause({ callsTools }: RecordedCall, ms: number, config: RunnableConfig): Promise<void> {
  if (callsTools === true) await recordedTool.invoke({ ms }, config);
  else await wait(ms, undefined, config.signal ? { signal: config.signal } : {});
}

const recordedTool = tool(
  async ({ ms }: { ms: number }, config: RunnableConfig) => {
    await wait(ms, undefined, config.signal ? { signal: config.signal } : {});
    return "done";
  },
  {
    name: "recorded_tool",
    description: "Takes as long as the tools of the recorded call.",
    schema: z.object({ ms: z.number() }),
  },
) as unknown as StructuredTool;

/** Node of a turn's call; END after the last one. */
function nodeOf(names: ReadonlyMap<string, string>, { calls }: PlannedTurn, index: number): string {
  return names.get(calls[index]?.call.agent ?? "") ?? END;
}

function planOf(config: RunnableConfig): PlannedTurn {
  return config.configurable?.["plan"] as PlannedTurn;
}

/** LangGraph keeps some names and characters for itself, and takes what every object has for channels of its state. */
function nodeNames(agents: readonly string[]): ReadonlyMap<string, string> {
  const inherited = Object.getOwnPropertyNames(Object.prototype);
  const taken = new Set<string>([START, END, ...Object.keys(State.spec), ...inherited]);
  const names = new Map<string, string>();
  for (const agent of agents) {
    const plain = agent.replaceAll(/[:|]/g, " ").trim() || "agent";
    let name = plain;
    for (let i = 2; taken.has(name); i++) name = `${plain} ${i}`;
    taken.add(name);
    names.set(agent, name);
  }
  return names;
}
