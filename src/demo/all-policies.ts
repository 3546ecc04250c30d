import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { HumanMessage, SystemMessage, type AIMessageChunk, type BaseMessage } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import { tool } from "@langchain/core/tools";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import PQueue from "p-queue";
import { z } from "zod";
import { CacheSage } from "../cachesage.ts";
import type { CacheSageOptions } from "../connect-options.ts";
import { policies } from "../policy-set.ts";
import type { LedgerEntry } from "../runtime/ledger.ts";
import { random } from "./routing.ts";
import { tasks } from "./tasks.ts";
import { type HookTimes, timedPolicy } from "./timed-policy.ts";

export interface AllPoliciesOptions {
  readonly runs: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly progress: (text: string, finished: boolean) => void;
}

/** What one policy did. Times in microseconds. */
export interface PolicyRow {
  readonly policy: string;
  readonly decisions: number;
  /** Decisions that no other policy overruled. */
  readonly wins: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly hooks: Readonly<
    Record<string, { readonly calls: number; readonly mean: number; readonly p99: number }>
  >;
}

export interface AllPoliciesResult {
  readonly rows: readonly PolicyRow[];
  readonly runs: number;
  /** Runs whose messages are the same with all policies off and on. */
  readonly identical: number;
  /** With all off, and all on. */
  readonly toolCalls: readonly [off: number, on: number];
  readonly seconds: readonly [off: number, on: number];
  readonly faults: number;
}

/** What a policy needs to be told to have something to do in this app; the others go by their defaults. */
const OPTIONS: Readonly<Record<string, object>> = {
  // The calls of an engine on this machine's own cores slow each other down.
  speculation: { nodes: ["researcher", "writer"], overlapCalls: false },
  "tool-memo": { tools: { look_up: { scope: "global" } } },
  safety: { tools: { researcher: ["look_up"] }, budget: { toolCalls: 20 } },
};
const CONCURRENCY = 6;
const LOOKUP_MS = 60;

/** Plays the same runs with every policy off and with every policy of the folder on. */
export async function playAllPolicies(options: AllPoliciesOptions): Promise<AllPoliciesResult> {
  const times = new Map<string, HookTimes>();
  const all: Record<string, ReturnType<typeof timedPolicy>["definition"]> = {};
  for (const name of await policies.names()) {
    const timed = timedPolicy(await policies.load(name), OPTIONS[name] ?? {});
    times.set(name, timed.times);
    all[name] = timed.definition;
  }
  // Every open run listens to the one signal of Ctrl-C, which is no leak.
  setMaxListeners(0, options.signal);
  const off = await play("off", { "prefix-cache": false }, options);
  const on = await play("on", all, options);
  return {
    rows: [...times].map(([policy, hooks]) => rowOf(policy, hooks, on.ledger)),
    runs: options.runs,
    identical: off.answers.filter((answer, run) => answer === on.answers[run]).length,
    toolCalls: [off.toolCalls, on.toolCalls],
    seconds: [off.seconds, on.seconds],
    faults: on.faults,
  };
}

async function play(
  arm: string,
  chosen: NonNullable<CacheSageOptions["policies"]>,
  { runs, seed, signal, progress }: AllPoliciesOptions,
) {
  await using sage = await CacheSage.connect({
    engineOptions: { model: "pico", kvTokens: 8192 },
    cacheHints: arm === "on",
    policies: chosen,
  });
  const app = buildApp(sage);
  const ledger: LedgerEntry[] = [];
  const queue = new PQueue({ concurrency: CONCURRENCY });
  const started = performance.now();
  let done = 0;
  const answers = await queue.addAll(
    Array.from({ length: runs }, (_, run) => async () => {
      signal.throwIfAborted();
      const next = random(seed, run)() < 0.8 ? "researcher" : "writer";
      const tenant = `tenant-${run % 3}`;
      const { messages } = await app.graph.invoke(
        { messages: [new HumanMessage(tasks[run % 4] as string)] },
        { configurable: { next, tenant, thread_id: `${run}`, priority: (run % 3) / 2 }, signal },
      );
      collect(sage.ledger, ledger);
      progress(`${arm}: ${++done}/${runs} runs`, done === runs);
      return messages.map(({ content }) => content).join("\n");
    }),
  );
  await sage.idle();
  collect(sage.ledger, ledger);
  const seconds = (performance.now() - started) / 1000;
  return { answers, seconds, toolCalls: app.toolCalls, ledger, faults: sage.stats.faults };
}

/** Adds what is new: the ledger keeps the newest decisions only. */
function collect(newestFirst: Iterable<LedgerEntry>, all: LedgerEntry[]): void {
  const known = all.at(-1)?.id ?? 0;
  const added: LedgerEntry[] = [];
  for (const entry of newestFirst) {
    if (entry.id <= known) break;
    added.push(entry);
  }
  all.push(...added.toReversed());
}

/** A router, two agents of which one looks things up, and a reviewer. */
function buildApp(sage: CacheSage) {
  const app = { toolCalls: 0 };
  const model = new ChatOpenAI({
    model: "pico",
    temperature: 0,
    maxTokens: 12,
    maxRetries: 0,
    ...sage.model(),
  });
  const lookUp = sage.tool(
    tool(
      async ({ topic }: { readonly topic: string }) => {
        app.toolCalls++;
        await wait(LOOKUP_MS);
        return `What is known about ${topic}.`;
      },
      { name: "look_up", description: "Looks a topic up.", schema: z.object({ topic: z.string() }) },
    ),
  );
  const agent =
    (system: string) =>
    async (messages: readonly BaseMessage[]): Promise<AIMessageChunk> => {
      let answer: AIMessageChunk | undefined;
      for await (const chunk of await model.stream([new SystemMessage(system), ...messages]))
        answer = answer ? answer.concat(chunk) : chunk;
      return answer as AIMessageChunk;
    };
  const [route, research, write, review] = [
    agent(`You decide who is next. ${"Weigh who knows most about it. ".repeat(12)}`),
    agent(`You look things up. ${"Name what you found and where. ".repeat(12)}`),
    agent(`You write. ${"Short sentences, plain words. ".repeat(12)}`),
    agent(`You review. ${"Say what is missing, and why. ".repeat(12)}`),
  ];
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("router", async ({ messages }) => {
      await route(messages);
      await wait(LOOKUP_MS);
      return {};
    })
    .addNode("researcher", async ({ messages }) => {
      const found = new HumanMessage(
        String(await lookUp.invoke({ topic: String(messages[0]?.content).slice(0, 40) })),
      );
      return { messages: [found, await research([...messages, found])] };
    })
    .addNode("writer", async ({ messages }) => ({ messages: [await write(messages)] }))
    .addNode("reviewer", async ({ messages }) => ({ messages: [await review(messages)] }))
    .addEdge(START, "router")
    .addConditionalEdges(
      "router",
      (_state, config: RunnableConfig) => String(config.configurable?.["next"]),
      ["researcher", "writer"],
    )
    .addEdge("researcher", "reviewer")
    .addEdge("writer", "reviewer")
    .addEdge("reviewer", END)
    .compile();
  return Object.assign(app, { graph: sage.instrument(graph) });
}

function rowOf(policy: string, times: HookTimes, ledger: readonly LedgerEntry[]): PolicyRow {
  const own = ledger.filter((entry) => entry.policy === policy);
  const drops: Record<string, number> = {};
  for (const { outcome } of own) {
    if (outcome?.status !== "dropped") continue;
    const reason = outcome.reason.replace(/\d+/g, "n");
    drops[reason] = (drops[reason] ?? 0) + 1;
  }
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const hooks = Object.fromEntries(
    [...times].filter(([, all]) => all.length > 0).map(([hook, all]) => [hook, summaryOf(all)] as const),
  );
  return { policy, decisions: own.length, wins: own.length - dropped, drops, hooks };
}

function summaryOf(all: readonly number[]) {
  const sorted = all.toSorted((a, b) => a - b);
  return {
    calls: all.length,
    mean: all.reduce((sum, one) => sum + one, 0) / all.length,
    p99: sorted[Math.min(all.length - 1, Math.floor(all.length * 0.99))] as number,
  };
}
