/** What an engine's work costs in milliseconds of one server. */
export interface CostModel {
  /** Per request, whatever its length. */
  readonly overheadMs: number;
  /** Per prompt token that is computed. */
  readonly tokenMs: number;
  /** Per squared token of the prompt's length: attention over all that stands before. */
  readonly squaredTokenMs: number;
  /** Per token of an answer, while eight answers are decoded together. */
  readonly answerTokenMs: number;
}

/** A cost model with what it was fitted to. */
export interface MeasuredEngine extends CostModel {
  /** Preset of the embedded engine. */
  readonly model: string;
  readonly threads: number;
  /** Day of the measurement, as ISO 8601. */
  readonly date: string;
  /** Largest relative error over the prompt lengths that were measured, 50 to 11,600 tokens; longer ones are extrapolated. */
  readonly largestError: number;
}

/** Fitted to the embedded engine by `npm run build && node test/bench/fit-cost-model.mjs bench`. */
export const measuredEngine: MeasuredEngine = {
  model: "bench",
  threads: 1,
  date: "2026-11-24",
  overheadMs: 8.4,
  tokenMs: 0.3832,
  squaredTokenMs: 0.00008341,
  answerTokenMs: 1.353,
  largestError: 0.052,
};

/**
 * Milliseconds from a prompt's turn to its first token.
 *
 * @param cached tokens found in cache, at the prompt's start.
 * @param prompt all its tokens.
 */
export function prefillMs(cost: CostModel, cached: number, prompt: number): number {
  const { overheadMs, tokenMs, squaredTokenMs } = cost;
  return overheadMs + tokenMs * (prompt - cached) + squaredTokenMs * (prompt ** 2 - cached ** 2);
}
