import { mean } from "simple-statistics";
import { embeddedOptions } from "../embedded/index.ts";
import type { CostModel } from "../sim/cost-model.ts";
import type { AnswerSample, CostSamples } from "../sim/fit-cost.ts";
import type { RecordedCall, RecordedRun } from "../sim/workload.ts";
import type { BlockText } from "./block-text.ts";
import type { PlayedCall } from "./graph.ts";
import { paceRuns, playTrace } from "./play-trace.ts";
import { PromptTree } from "./prompt-tree.ts";

export interface CalibrationOptions {
  readonly model: string;
  readonly contextTokens: number;
  /** Longest prompt to measure, in tokens. */
  readonly longestPrompt: number;
  /** KV budget: making room takes its time. */
  readonly kvTokens: number;
  /** Milliseconds between requests: an engine that has stood still is slower than one that has not. */
  readonly gapMs: number;
  readonly text: BlockText;
  readonly signal: AbortSignal;
}

const BLOCK = 16;
const REPEATS = 3;
/** Prompt lengths in blocks. */
const LADDER = [4, 16, 32, 64, 128, 192, 256, 384, 512, 1024, 2048, 4096];
/** Until the client's code runs at its full speed. */
const WARM_UP = 12;
const ANSWER_TOKENS = 33;
/** Answers that are computed together. */
const TOGETHER = 8;
const BURST_REQUESTS = 6;
const BURST_PROMPT = 64;
/** Holds the prompts and answers that are to be computed together. */
const LEAST_BUDGET = 2048;

/** How the engine batches, unless it is told otherwise. */
export function engineBatching(): Pick<CostModel, "chunkTokens" | "maxRunning"> {
  const { chunkTokens, maxRunning } = embeddedOptions.parse({});
  return { chunkTokens, maxRunning };
}

/**
 * Measures the engine at hand, for a cost model to be fitted, by requests of its own that have nothing to do with any trace: prompts of many
 * lengths, cold, cached but for a block and cached but for a chunk, each on the idle engine; answers, alone and several together; and
 * many short requests at a time. They go the way of all requests: a graph, a client, HTTP.
 */
export async function calibrate(options: CalibrationOptions): Promise<CostSamples> {
  const fresh = freshBlocks();
  const { chunkTokens } = engineBatching();
  const most = Math.min(
    options.longestPrompt,
    Math.max(options.kvTokens, LEAST_BUDGET) - chunkTokens - ANSWER_TOKENS - 2 * BLOCK,
  );
  const lengths = LADDER.map((blocks) => blocks * BLOCK).filter((tokens) => tokens <= most);
  const ladder = Array.from({ length: REPEATS }, () => lengths)
    .flat()
    .flatMap((tokens) => {
      const known = fresh(tokens);
      const prompts = [known, [...known, ...fresh(BLOCK)], [...known, ...fresh(chunkTokens)]];
      return prompts.map((blocks, index) => call(blocks, index === 1 ? ANSWER_TOKENS : 1));
    });
  const warmUp = Array.from({ length: WARM_UP }, () => call(fresh(64), 2));
  const alone = await send([[...warmUp, ...ladder]], 1, options);
  const crowd = Array.from({ length: REPEATS * TOGETHER }, () => [call(fresh(64), 2 * ANSWER_TOKENS)]);
  const together = await send(crowd, TOGETHER, options);
  const senders = Array.from({ length: TOGETHER }, () =>
    Array.from({ length: BURST_REQUESTS }, () => call(fresh(BURST_PROMPT), 1)),
  );
  const burst = await send(senders, TOGETHER, { ...options, gapMs: 0 });
  const requests = alone.slice(WARM_UP);
  return {
    firstTokens: requests.map(({ record: { promptTokens, cachedTokens = 0, ttftMs } }) => ({
      cached: cachedTokens,
      prompt: promptTokens,
      ms: ttftMs,
    })),
    answers: [
      ...requests.filter(({ record }) => record.outputTokens > 1).map((one) => answerOf(one, 1)),
      ...together.map((one) => answerOf(one, TOGETHER)),
    ],
    bursts: [
      {
        together: TOGETHER,
        requests: BURST_REQUESTS,
        prompt: BURST_PROMPT,
        ms: mean(burst.map(({ record }) => record.ttftMs)),
      },
    ],
  };
}

async function send(
  calls: readonly (readonly RecordedCall[])[],
  concurrency: number,
  { model, contextTokens, kvTokens, gapMs, text, signal }: CalibrationOptions,
): Promise<readonly PlayedCall[]> {
  const runs = calls.map((made, index): RecordedRun => ({ id: String(index), calls: made }));
  const blockCount = 1 + Math.max(...calls.flat().map(({ blocks }) => blocks.at(-1) ?? 0));
  const tree = new PromptTree({ name: "calibration", blockTokens: BLOCK, blockCount, runs }, BLOCK, text);
  const { log } = await playTrace("lru", {
    runs: paceRuns(runs, { seed: 1, gapMs, answerTokens: 2 * ANSWER_TOKENS }),
    tree,
    concurrency,
    arrivalMs: 0,
    model,
    kvTokens: Math.max(kvTokens, LEAST_BUDGET),
    contextTokens,
    signal,
    onRun: () => {},
  });
  return log.played;
}

/** Gives blocks that no request has had before. */
function freshBlocks(): (tokens: number) => number[] {
  let next = 0;
  return (tokens) => Array.from({ length: Math.ceil(tokens / BLOCK) }, () => next++);
}

function call(blocks: readonly number[], outputTokens: number): RecordedCall {
  const promptTokens = blocks.length * BLOCK;
  return {
    agent: "calibration",
    blocks: Int32Array.from(blocks),
    anchorBlocks: 0,
    promptTokens,
    outputTokens,
  };
}

function answerOf({ record }: PlayedCall, together: number): AnswerSample {
  const { outputTokens, promptTokens, answerMs } = record;
  return { together, context: promptTokens + outputTokens / 2, ms: answerMs / (outputTokens - 1) };
}
