/**
 * What an engine's work costs in milliseconds. The engine batches continuously: each step computes one token of every
 * answer under way and as many tokens of the prompts that wait as fit into it.
 */
export interface CostModel {
  /** Per request on its way to the engine and back, whatever its length; the engine does not stand still for it. */
  readonly overheadMs: number;
  /** Per request, while the engine stands still: it may share its thread with those who take requests in. */
  readonly requestMs: number;
  /** Per token of the prompt, cached or not, on its way to the engine. */
  readonly promptTokenMs: number;
  /** Per step, whatever is in it. */
  readonly stepMs: number;
  /** Per prompt token that is computed. */
  readonly tokenMs: number;
  /** Per squared token of the prompt's length: attention over all that stands before. */
  readonly squaredTokenMs: number;
  /** Per token of an answer. */
  readonly answerTokenMs: number;
  /** Per token of an answer and token that stands before it. */
  readonly answerContextMs: number;
  /** Most tokens in one step. */
  readonly chunkTokens: number;
  /** Requests computed at once; others wait in order. */
  readonly maxRunning: number;
}

/** A cost model with what it was fitted to. */
export interface MeasuredEngine extends CostModel {
  /** Preset of the embedded engine. */
  readonly model: string;
  readonly threads: number;
  /** Day of the measurement, as ISO 8601. */
  readonly date: string;
  /** Median relative error over the requests that were measured, of up to 8,192 tokens; longer ones are extrapolated. */
  readonly typicalError: number;
}

/** Fitted to the embedded engine by `npm run build && node test/bench/fit-cost-model.mjs bench`. */
export const measuredEngine: MeasuredEngine = {
  model: "bench",
  threads: 1,
  date: "2026-11-24",
  overheadMs: 6.754,
  requestMs: 4.935,
  promptTokenMs: 0.001263,
  stepMs: 1.261,
  tokenMs: 0.412,
  squaredTokenMs: 0.00007911,
  answerTokenMs: 1.777,
  answerContextMs: 0.0002385,
  chunkTokens: 256,
  maxRunning: 16,
  typicalError: 0.068,
};

/** The same engine on a machine on which all takes so many times as long. */
export function slower({ chunkTokens, maxRunning, ...times }: CostModel, factor: number): CostModel {
  const scaled = Object.entries(times).map(([name, ms]) => [name, ms * factor]);
  return { ...(Object.fromEntries(scaled) as typeof times), chunkTokens, maxRunning };
}

/**
 * Milliseconds from sending a prompt to its first token when nothing else is going on.
 *
 * @param cached tokens found in cache, at the prompt's start.
 * @param prompt all its tokens.
 */
export function idleTtftMs(cost: CostModel, cached: number, prompt: number): number {
  const { overheadMs, requestMs, promptTokenMs, stepMs, tokenMs, squaredTokenMs, chunkTokens } = cost;
  // The last token is computed even of a prompt that is cached as a whole.
  const steps = Math.max(1, Math.ceil((prompt - cached) / chunkTokens));
  return (
    overheadMs +
    requestMs +
    promptTokenMs * prompt +
    stepMs * steps +
    tokenMs * (prompt - cached) +
    squaredTokenMs * (prompt ** 2 - cached ** 2)
  );
}
