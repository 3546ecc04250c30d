import { type CostModel, idleTtftMs } from "./cost-model.ts";

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

/** Times of requests that were made to measure an engine. */
export interface CostSamples {
  readonly firstTokens: readonly FirstTokenSample[];
  readonly answers: readonly AnswerSample[];
}

export interface CostFit {
  readonly cost: CostModel;
  /** Largest relative error over the samples. */
  readonly largestError: number;
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

/**
 * Fits a cost model by least squares of relative errors, so that short requests count as much as long ones. What would
 * come out below zero is left out of the model.
 */
export function fitCost(
  samples: CostSamples,
  batching: Pick<CostModel, "chunkTokens" | "maxRunning">,
): CostFit {
  const { firstTokens, answers } = samples;
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
  const values = leastSquares(rows.map(({ terms, ms }) => terms.map((term) => term / ms)));
  const cost = {
    ...Object.fromEntries(NAMES.map((name, index) => [name, values[index] ?? 0])),
    ...batching,
  } as CostModel;
  const errors = [
    ...firstTokens.map(({ cached, prompt, ms }) => idleTtftMs(cost, cached, prompt) / ms - 1),
    ...answers.map(
      ({ together, context, ms }) =>
        (cost.stepMs + together * (cost.answerTokenMs + cost.answerContextMs * context)) / ms - 1,
    ),
  ];
  return { cost, largestError: Math.max(...errors.map(Math.abs)) };
}

/** Factors, none below zero, with which the columns of `rows` add up to 1 in each row as nearly as can be. */
function leastSquares(rows: readonly (readonly number[])[]): readonly number[] {
  const width = rows[0]?.length ?? 0;
  // Columns differ by ten orders of magnitude: brought to one size, the equations can be solved in doubles.
  const sizes = Array.from({ length: width }, (_, i) => Math.hypot(...rows.map((row) => row[i] ?? 0)));
  let kept = sizes.flatMap((size, i) => (size > 0 ? i : []));
  for (;;) {
    const scaled = rows.map((row) => kept.map((i) => (row[i] ?? 0) / (sizes[i] as number)));
    const found = solve(
      kept.map((_, i) => kept.map((__, j) => sum(scaled.map((row) => (row[i] ?? 0) * (row[j] ?? 0))))),
      kept.map((_, i) => sum(scaled.map((row) => row[i] ?? 0))),
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

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
