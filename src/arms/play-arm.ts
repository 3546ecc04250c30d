import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { ChatOpenAI } from "@langchain/openai";
import PQueue from "p-queue";
import { CacheSage } from "../cachesage.ts";
import { type Arm, type ArmResult, hasHints } from "./arm.ts";
import type { CallLog } from "./call-log.ts";
import type { Target } from "./target.ts";

/** The app of one arm, built around the model that it is to call. */
export interface ArmApp<Run, Log extends CallLog> {
  readonly log: Log;
  readonly graph: object;
  /** What agents' prompts begin with, where the app tells cachesage before it starts. */
  firstCalls?(): readonly (readonly [agent: string, call: () => unknown])[];
  /** Plays one run on the graph, which is observed by then where the arm observes. */
  invoke(run: Run, index: number): Promise<unknown>;
}

/** What an arm's app is built of. */
export interface AppParts {
  readonly modelOf: (answerTokens: number) => ChatOpenAI;
  /** There in the arm in which the app says who is next; to be called in a node. */
  readonly announce?: CacheSage["announce"];
}

export interface ArmOptions<Run, Log extends CallLog> {
  readonly runs: readonly Run[];
  /** Runs open at once. */
  readonly concurrency: number;
  /** Users do not all come in the same instant: the first runs arrive so many milliseconds apart. */
  readonly arrivalMs: number;
  readonly signal: AbortSignal;
  /** Adapter of what `start` gives, and its options. Default: the embedded engine's. */
  readonly engineName?: string;
  readonly engineOptions?: Readonly<Record<string, unknown>>;
  readonly start: () => Promise<Target>;
  readonly app: (parts: AppParts) => ArmApp<Run, Log>;
  /** Told after each finished run. */
  readonly onRun: () => void;
}

/** Plays all runs in one arm, on the engine that it starts. Leaves nothing behind, also when aborted. */
export async function playArm<Run, Log extends CallLog>(
  arm: Arm,
  options: ArmOptions<Run, Log>,
): Promise<ArmResult<Log>> {
  const target = await options.start();
  try {
    const sage = hasHints(arm)
      ? await CacheSage.connect(target.baseURL, {
          engine: options.engineName ?? "embedded",
          engineOptions: options.engineOptions ?? {},
          cacheHints: true,
        })
      : undefined;
    try {
      return await play(target, sage, arm === "told", options);
    } finally {
      await sage?.close();
    }
  } finally {
    await target.close();
  }
}

async function play<Run, Log extends CallLog>(
  target: Target,
  sage: CacheSage | undefined,
  isTold: boolean,
  { runs, concurrency, arrivalMs, signal, app: build, onRun }: ArmOptions<Run, Log>,
): Promise<ArmResult<Log>> {
  const app = build({
    modelOf: modelsOf(target, sage),
    ...(sage && isTold && { announce: sage.announce }),
  });
  sage?.instrument(app.graph);
  for (const [agent, call] of app.firstCalls?.() ?? []) await sage?.introduce(agent, call);
  const queue = new PQueue({ concurrency });
  // Every open run listens to the one signal of Ctrl-C, which is no leak.
  setMaxListeners(0, signal);
  const started = performance.now();
  await queue.addAll(
    runs.map((run, index) => async () => {
      signal.throwIfAborted();
      const arrival = index < concurrency ? index * arrivalMs : 0;
      if (arrival > 0) await wait(arrival, undefined, { signal });
      const from = performance.now();
      await app.invoke(run, index);
      app.log.runMs.push(performance.now() - from);
      onRun();
    }),
  );
  const wallMs = performance.now() - started;
  await sage?.idle();
  return { log: app.log, wallMs, engine: await target.stats(), ...(sage && { sage: sage.stats }) };
}

/** One client for each length of answer, since ChatOpenAI fixes it for good. */
function modelsOf(target: Target, sage: CacheSage | undefined): (answerTokens: number) => ChatOpenAI {
  const models = new Map<number, ChatOpenAI>();
  return (maxTokens) => {
    let model = models.get(maxTokens);
    if (!model) {
      const fields = {
        model: target.model,
        apiKey: "embedded",
        temperature: 0,
        maxTokens,
        maxRetries: 0,
        streamUsage: true,
      };
      const way = sage ? sage.model() : { configuration: { baseURL: target.baseURL } };
      const configuration = { ...way.configuration, defaultHeaders: target.headers };
      models.set(maxTokens, (model = new ChatOpenAI({ ...fields, ...way, configuration })));
    }
    return model;
  };
}
