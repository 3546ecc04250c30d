import type { PromptTotals } from "../runtime/engine.ts";

/** Adds up the requests that an adapter sends itself, since the engine counts them among the app's. */
export class WarmUpTotals {
  #totals: PromptTotals = { requests: 0, promptTokens: 0, cachedTokens: 0 };

  add(promptTokens: number, cachedTokens: number): void {
    const { requests, promptTokens: prompt, cachedTokens: cached } = this.#totals;
    this.#totals = {
      requests: requests + 1,
      promptTokens: prompt + promptTokens,
      cachedTokens: cached + cachedTokens,
    };
  }

  get(): PromptTotals {
    return this.#totals;
  }
}
