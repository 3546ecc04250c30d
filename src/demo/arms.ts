import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import PQueue from "p-queue";
import { ChatOpenAI } from "@langchain/openai";
import { CacheSage, type CacheSageStats } from "../cachesage.ts";
import { CallLog } from "./call-log.ts";
import { buildTeam, runConfig, type RunPlan } from "./graph.ts";
import type { Route } from "./routing.ts";
import { attachTarget, startTarget, type Target, type TargetStats } from "./target.ts";

/** none: the engine's prefix cache is off. lru: the unmodified stack. hints: cachesage attached, flag on. */
export const arms = ["none", "lru", "hints"] as const;
export type Arm = (typeof arms)[number];

/** Longer than any prompt of the team: fourteen turns of answers and tool results on the longest anchor. */
const CONTEXT_TOKENS = 4096;

export interface ArmOptions {
  readonly runs: readonly RunPlan[];
  /** Runs open at once. */
  readonly concurrency: number;
  readonly kvTokens: number;
  readonly toolMs: number;
  readonly answerTokens: number;
  readonly model: string;
  /** Base URL of a server that already runs; undefined: a fresh engine in this process. */
  readonly engine: string | undefined;
  /** Tells this arm's prompts from other arms' on the same server. */
  readonly nonce: string;
  readonly route: Route;
  readonly signal: AbortSignal;
  /** Told after each finished run. */
  readonly onRun: () => void;
}

export interface ArmResult {
  readonly log: CallLog;
  readonly wallMs: number;
  readonly engine: TargetStats;
  /** Only in the arm that has cachesage attached. */
  readonly sage?: CacheSageStats;
}

/** Plays all runs in one arm on a fresh engine. Leaves nothing behind, also when aborted. */
export async function playArm(arm: Arm, options: ArmOptions): Promise<ArmResult> {
  const target =
    options.engine === undefined
      ? await startTarget({
          model: options.model,
          kvTokens: options.kvTokens,
          prefixCaching: arm !== "none",
          order: arm === "hints" ? "scored" : "lru",
          contextTokens: CONTEXT_TOKENS,
        })
      : await attachTarget(options.engine, options.signal);
  try {
    const sage =
      arm === "hints"
        ? await CacheSage.connect(target.baseURL, { engine: "embedded", cacheHints: true })
        : undefined;
    try {
      return await play(target, sage, options);
    } finally {
      await sage?.close();
    }
  } finally {
    await target.close();
  }
}

async function play(target: Target, sage: CacheSage | undefined, options: ArmOptions): Promise<ArmResult> {
  const fields = {
    model: target.model,
    apiKey: "embedded",
    temperature: 0,
    maxTokens: options.answerTokens,
    maxRetries: 0,
    streamUsage: true,
  };
  const model = new ChatOpenAI({
    ...fields,
    ...(sage ? sage.model() : { configuration: { baseURL: target.baseURL } }),
  });
  const log = new CallLog();
  const team = buildTeam({
    model,
    toolMs: options.toolMs,
    route: options.route,
    log,
    nonce: options.engine === undefined ? "" : `[${options.nonce}] `,
  });
  const graph = sage ? sage.instrument(team) : team;
  const queue = new PQueue({ concurrency: options.concurrency });
  // Every open run listens to the one signal of Ctrl-C, which is no leak.
  setMaxListeners(0, options.signal);
  const started = performance.now();
  await queue.addAll(
    options.runs.map((plan, index) => async () => {
      options.signal.throwIfAborted();
      // Users do not all come in the same instant: the first ones arrive a quarter of a tool call apart.
      const arrival = index < options.concurrency ? (index * options.toolMs) / 4 : 0;
      if (arrival > 0) await wait(arrival, undefined, { signal: options.signal });
      const from = performance.now();
      await graph.invoke(
        { messages: [{ role: "user", content: plan.task }] },
        runConfig(plan, `run-${index}`, options.signal),
      );
      log.runMs.push(performance.now() - from);
      options.onRun();
    }),
  );
  const wallMs = performance.now() - started;
  await sage?.idle();
  return { log, wallMs, engine: await target.stats(), ...(sage && { sage: sage.stats }) };
}
