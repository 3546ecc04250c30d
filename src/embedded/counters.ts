/** What the engine did since it started or was reset. */
export interface Counters {
  requests: number;
  /** Prompt tokens of admitted requests. */
  promptTokens: number;
  /** Of those, tokens that were resident. */
  hitTokens: number;
  /** Prompt tokens computed for requests, again after a preemption included. */
  computedTokens: number;
  outputTokens: number;
  /** Tokens computed ahead of any request. */
  prefetchedTokens: number;
  preemptions: number;
  /** Milliseconds in which llama.cpp was computing. */
  busyMs: number;
}

/** All counts at zero. */
export function zeroCounters(): Counters {
  return {
    requests: 0,
    promptTokens: 0,
    hitTokens: 0,
    computedTokens: 0,
    outputTokens: 0,
    prefetchedTokens: 0,
    preemptions: 0,
    busyMs: 0,
  };
}
