import { type Arm, armsInTurn, inOrder } from "../arms/arm.ts";
import { type ArmRow, toRow } from "../arms/rows.ts";
import { capacityIn } from "../sim/capacity.ts";
import { type CostSamples, fitCost } from "../sim/fit-cost.ts";
import { schedule } from "../sim/schedule.ts";
import type { Workload } from "../sim/workload.ts";
import { type Agreement, compare } from "./agreement.ts";
import { BlockText } from "./block-text.ts";
import { calibrate, engineBatching } from "./calibrate.ts";
import type { PlayedCall } from "./graph.ts";
import { planTrace, type PlanOptions } from "./plan.ts";
import { paceRuns, playTrace, type TracePlay } from "./play-trace.ts";
import { PromptTree } from "./prompt-tree.ts";
import { plannedWorkload, servedSchedule } from "./served.ts";

export interface BenchOptions extends Omit<PlanOptions, "seed"> {
  readonly seed: readonly number[];
  /** As CAPACITY has it. */
  readonly capacity: string;
  /** Milliseconds between a run's calls. */
  readonly gapMs: number;
  /** Most tokens of an answer. */
  readonly answerTokens: number;
  readonly model: string;
  readonly arms: readonly Arm[];
  /** Also replays what the arm lru served, with a cost model fitted to the engine. */
  readonly compareSimulation: boolean;
  readonly signal: AbortSignal;
  /** Told what goes on; `finished` when a part of the work is over. */
  readonly progress: (text: string, finished: boolean) => void;
}

/** One arm of one seed, as `--json` prints it. */
export interface BenchRow extends ArmRow {
  readonly trace: string;
  readonly calls: number;
  readonly kv_tokens: number;
  /** Tokens of a recorded block as it was played. */
  readonly block_tokens: number;
}

export interface BenchResult {
  readonly rows: readonly BenchRow[];
  /** Empty unless compared. */
  readonly agreement: readonly Agreement[];
  /** What a reader of the rows has to know. */
  readonly notes: readonly string[];
}

/** Beside prompt and answer: the token that opens the answer, and rounding. */
const SPARE_TOKENS = 32;
/** Calibration's answers may be longer than those of the bench. */
const LEAST_ANSWER = 80;

/** Plays a recorded workload on the embedded engine: every seed in every arm, the order of arms rotating. */
export async function bench(workload: Workload, options: BenchOptions): Promise<BenchResult> {
  const text = new BlockText();
  text.check(workload.blockCount);
  const prepared = options.seed.map((seed) => prepare(workload, seed, text, options));
  const longestPrompt = Math.max(...prepared.map((part) => part.longestPrompt));
  const engine: EngineSize = {
    longestPrompt,
    contextTokens: longestPrompt + Math.max(LEAST_ANSWER, options.answerTokens) + 2 * SPARE_TOKENS + 256,
  };
  const rows: BenchRow[] = [];
  const agreement: Agreement[] = [];
  for (const [turn, part] of prepared.entries())
    for (const arm of armsInTurn(options.arms, turn)) {
      const isCompared = options.compareSimulation && arm === "lru";
      // On both sides of what they explain, since a machine that others use is not always equally fast.
      const before = isCompared ? await measure(part, engine, text, options) : undefined;
      const { row, calls, busyMs } = await playPart(arm, part, engine, options);
      rows.push(row);
      if (!before) continue;
      const after = await measure(part, engine, text, options);
      const samples: CostSamples = {
        firstTokens: [...before.firstTokens, ...after.firstTokens],
        answers: [...before.answers, ...after.answers],
        bursts: [...before.bursts, ...after.bursts],
      };
      const fit = fitCost(samples, engineBatching());
      const { trace, seed, kv_tokens } = row;
      agreement.push(compare(calls, servedSchedule(calls, part), { trace, seed, kv_tokens, fit, busyMs }));
    }
  const notes = prepared.flatMap((part) => part.notes);
  return { rows: inOrder(rows), agreement: agreement.toSorted((a, b) => a.seed - b.seed), notes };
}

interface EngineSize {
  /** Tokens. */
  readonly longestPrompt: number;
  readonly contextTokens: number;
}

type Prepared = ReturnType<typeof prepare>;

/** What one seed plays, in every arm. */
function prepare(workload: Workload, seed: number, text: BlockText, options: BenchOptions) {
  const { concurrency, capacity: given, answerTokens, gapMs } = options;
  const plan = planTrace(workload, { ...options, seed });
  const { blockTokens } = plan;
  const tree = new PromptTree(plan.workload, blockTokens, text);
  const { runEnds } = plan;
  const runs = paceRuns(plan.workload.runs, { seed, gapMs, answerTokens, runEnds });
  const lengths = plan.workload.runs.flatMap(({ calls }) => calls.map(({ blocks }) => blocks.length));
  const longestPrompt = blockTokens * Math.max(...lengths);
  const planned = schedule(plannedWorkload(runs, tree, blockTokens), { concurrency, seed, order: "random" });
  const asked = capacityIn(given, planned) * blockTokens;
  const least = longestPrompt + answerTokens + SPARE_TOKENS;
  const kvTokens = Math.max(asked, least);
  const notes = [
    ...plan.notes,
    `KV budget ${kvTokens} tokens, ${percent(kvTokens / (planned.workingSet * blockTokens))} of the open runs' mean working set of ${Math.round(planned.workingSet * blockTokens)} (seed ${seed})${asked < least ? `; ${given} would not have held the longest prompt` : ""}.`,
  ];
  return { trace: workload.name, seed, concurrency, blockTokens, tree, runs, longestPrompt, kvTokens, notes };
}

interface PlayedPart {
  readonly row: BenchRow;
  readonly calls: readonly PlayedCall[];
  readonly busyMs: number | null;
}

async function playPart(
  arm: Arm,
  part: Prepared,
  { contextTokens }: EngineSize,
  options: BenchOptions,
): Promise<PlayedPart> {
  const { seed, blockTokens, tree, runs, kvTokens } = part;
  const { concurrency, model, signal, progress, gapMs } = options;
  const label = `seed ${seed}, ${arm}`;
  let done = 0;
  progress(`${label}: 0/${runs.length} runs`, false);
  const play: TracePlay = {
    runs,
    tree,
    concurrency,
    model,
    kvTokens,
    contextTokens,
    signal,
    arrivalMs: gapMs / 4,
    onRun: () => progress(`${label}: ${++done}/${runs.length} runs`, false),
  };
  const result = await playTrace(arm, play);
  const calls = result.log.played;
  progress(`${label}: ${calls.length} calls in ${(result.wallMs / 1000).toFixed(1)} s`, true);
  const row: BenchRow = {
    trace: part.trace,
    ...toRow(arm, seed, result),
    calls: calls.length,
    kv_tokens: kvTokens,
    block_tokens: blockTokens,
  };
  return { row, calls, busyMs: result.engine.busyMs };
}

async function measure(
  { kvTokens }: Prepared,
  engine: EngineSize,
  text: BlockText,
  { model, gapMs, concurrency, signal, progress }: BenchOptions,
): Promise<CostSamples> {
  progress("measuring the engine", false);
  const started = performance.now();
  const samples = await calibrate({ ...engine, model, kvTokens, gapMs: gapMs / concurrency, text, signal });
  progress(`engine measured in ${((performance.now() - started) / 1000).toFixed(1)} s`, true);
  return samples;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
