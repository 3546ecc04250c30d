import { mean, median, sumSimple as sum } from "simple-statistics";
import { type CostModel, idleTtftMs } from "./cost-model.ts";
import type { ScheduledCall } from "./schedule.ts";
import { serveClosedLoop } from "./serve-closed-loop.ts";

/** A prompt that an idle engine got, and the time to its first token. */
export interface FirstTokenSample {
  readonly cached: number;
  readonly prompt: number;
  readonly ms: number;
}

/** Answers computed at the same time, and the time from one token to the next. */
export interface AnswerSample {
  readonly together: number;
  /** Tokens before an answer's middle. */
  readonly context: number;
  readonly ms: number;
}

/** Short requests sent one after the other by several at a time, and their mean time to first token. */
export interface BurstSample {
  readonly together: number;
  /** Requests of each sender. */
  readonly requests: number;
  /** Tokens of each prompt, none cached. */
  readonly prompt: number;
  readonly ms: number;
}

/** Times of requests that were made to measure an engine. */
export interface CostSamples {
  readonly firstTokens: readonly FirstTokenSample[];
  readonly answers: readonly AnswerSample[];
  readonly bursts: readonly BurstSample[];
}

export interface CostFit {
  readonly cost: CostModel;
  /** Median over the samples of the relative error. */
  readonly typicalError: number;
}

const NAMES = [
  "overheadMs",
  "promptTokenMs",
  "stepMs",
  "tokenMs",
  "squaredTokenMs",
  "answerTokenMs",
  "answerContextMs",
] as const;

const REWEIGHTS = 4;
const BISECTIONS = 20;
const LEAST_MS = 0.01;

interface Equation {
  readonly terms: readonly number[];
  readonly ms: number;
  readonly weight: number;
}

/**
 * Fits a cost model by least squares of relative errors, so that short requests count as much as long ones. What would
 * come out below zero is left out of the model.
 */
export function fitCost(
  samples: CostSamples,
  batching: Pick<CostModel, "chunkTokens" | "maxRunning">,
): CostFit {
  const { firstTokens, answers, bursts } = samples;
  const rows = [
    ...firstTokens.map(({ cached, prompt, ms }) => {
      const computed = prompt - cached;
      const steps = Math.max(1, Math.ceil(computed / batching.chunkTokens));
      return { terms: [1, prompt, steps, computed, prompt ** 2 - cached ** 2, 0, 0], ms };
    }),
    ...answers.map(({ together, context, ms }) => ({
      terms: [0, 0, 1, 0, 0, together, together * context],
      ms,
    })),
  ];
  let values = leastSquares(rows.map(({ terms, ms }) => ({ terms, ms, weight: 1 / ms })));
  // Weighed by what was measured, slow samples would count less than fast ones of the same kind.
  for (let i = 0; i < REWEIGHTS; i++) {
    const modelled = rows.map(({ terms }) => sum(terms.map((term, at) => term * (values[at] ?? 0))));
    values = leastSquares(
      rows.map((row, at) => ({ ...row, weight: 1 / Math.max(modelled[at] ?? 0, LEAST_MS) })),
    );
  }
  const idle = {
    ...Object.fromEntries(NAMES.map((name, index) => [name, values[index] ?? 0])),
    requestMs: 0,
    ...batching,
  } as CostModel;
  const cost = shareOverhead(idle, bursts);
  const errors = [
    ...firstTokens.map(({ cached, prompt, ms }) => idleTtftMs(cost, cached, prompt) / ms - 1),
    ...answers.map(
      ({ together, context, ms }) =>
        (cost.stepMs + together * (cost.answerTokenMs + cost.answerContextMs * context)) / ms - 1,
    ),
  ];
  return { cost, typicalError: median(errors.map(Math.abs)) };
}

/**
 * How much of a request's overhead the engine stands still for cannot be told from requests that come alone: as much as makes
 * the modelled bursts take as long as the measured ones.
 */
function shareOverhead(idle: CostModel, bursts: readonly BurstSample[]): CostModel {
  const shared = (share: number): CostModel => ({
    ...idle,
    overheadMs: (1 - share) * idle.overheadMs,
    requestMs: share * idle.overheadMs,
  });
  const excess = (share: number) =>
    sum(bursts.map((burst) => burstTtftMs(shared(share), burst) / burst.ms - 1));
  let [low, high] = [0, 1];
  if (bursts.length === 0 || excess(low) >= 0) return idle;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (excess(middle) < 0) low = middle;
    else high = middle;
  }
  return shared(high);
}

/** Modelled mean time to first token of a burst. */
function burstTtftMs(cost: CostModel, { together, requests, prompt }: BurstSample): number {
  const calls = Array.from({ length: together * requests }, (_, index): ScheduledCall => {
    const blocks = Int32Array.of(index);
    const call = { agent: "", blocks, anchorBlocks: 0, promptTokens: prompt, outputTokens: 1 };
    const isLast = index >= together * (requests - 1);
    const run = index % together;
    return { call, run, thread: run, recorded: { id: "", calls: [] }, at: index, isLast };
  });
  const workload = { name: "burst", blockTokens: prompt, blockCount: calls.length, runs: [] };
  const schedule = { workload, concurrency: together, seed: 0, isTimed: false, calls, workingSet: 0 };
  const none = { hitsByCall: new Int32Array(calls.length), gapsMs: new Float64Array(calls.length) };
  return mean([...serveClosedLoop(schedule, none, cost).ttftMs]);
}

/** Factors, none below zero, with which the terms of each equation add up to its time as nearly as can be. */
function leastSquares(equations: readonly Equation[]): readonly number[] {
  const rows = equations.map(({ terms, weight }) => terms.map((term) => term * weight));
  const right = equations.map(({ ms, weight }) => ms * weight);
  const width = rows[0]?.length ?? 0;
  // Columns differ by ten orders of magnitude: brought to one size, the equations can be solved in doubles.
  const sizes = Array.from({ length: width }, (_, i) => Math.hypot(...rows.map((row) => row[i] ?? 0)));
  let kept = sizes.flatMap((size, i) => (size > 0 ? i : []));
  for (;;) {
    const columns = kept.map((i) => rows.map((row) => (row[i] ?? 0) / (sizes[i] as number)));
    const found = solve(
      columns.map((one) => columns.map((other) => dot(one, other))),
      columns.map((one) => dot(one, right)),
    );
    const least = Math.min(...found);
    if (least >= 0 || kept.length === 1) {
      const values = Array.from({ length: width }, () => 0);
      for (const [at, i] of kept.entries()) values[i] = Math.max(0, found[at] ?? 0) / (sizes[i] as number);
      return values;
    }
    kept = kept.filter((_, at) => found[at] !== least);
  }
}

/** Gauss-Jordan elimination with pivots by size. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): readonly number[] {
  const rows = matrix.map((row, i) => [...row, right[i] ?? 0]);
  for (const column of rows.keys()) {
    const below = rows.slice(column).map((row) => Math.abs(row[column] ?? 0));
    const best = column + below.indexOf(Math.max(...below));
    [rows[column], rows[best]] = [rows[best] as number[], rows[column] as number[]];
    const pivot = rows[column];
    for (const [i, row] of rows.entries()) {
      if (i === column) continue;
      const factor = (row[column] ?? 0) / (pivot[column] || 1);
      for (const j of row.keys()) row[j] = (row[j] ?? 0) - factor * (pivot[j] ?? 0);
    }
  }
  return rows.map((row, i) => (row.at(-1) ?? 0) / (row[i] || 1));
}

function dot(left: readonly number[], right: readonly number[]): number {
  return sum(left.map((value, i) => value * (right[i] ?? 0)));
}
