import { z } from "zod";
import type { Event } from "../runtime/event.ts";
import { UnderWay } from "./under-way.ts";

/** Option of adapters whose prefetches compete with the app's own requests. */
export const idleBelow = z
  .int()
  .min(1)
  .default(1)
  .describe("Prefetch only while fewer of the app's own requests than this wait for their first token");

/**
 * The app's own requests between their start and their first token: while there is one, the engine's time is theirs.
 * Requests whose first token nobody tells count until they end.
 */
export class Foreground {
  readonly #isAnswerWork: boolean;
  readonly #waiting = new UnderWay<true>();
  readonly #told = new Set<{ readonly below: number; readonly tell: () => void }>();

  /** @param isAnswerWork a request counts until it ends, on engines where a prompt beside it delays each token of its answer. */
  constructor({ isAnswerWork = false } = {}) {
    this.#isAnswerWork = isAnswerWork;
  }

  observe(event: Event): void {
    if (event.type === "request-start") this.#waiting.begin(event.request, event.at, true);
    const isOver =
      event.type === "request-end" || (event.type === "request-first-token" && !this.#isAnswerWork);
    if (!isOver) return;
    this.#waiting.end(event.request);
    for (const { below, tell } of this.#told) if (this.#waiting.size < below) tell();
  }

  /** Resolves when fewer than `below` of them count, or with the signal. */
  quiet(signal: AbortSignal | undefined, below = 1): Promise<void> {
    if (this.#waiting.size < below || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const tell = (): void => {
        this.#told.delete(waiter);
        signal?.removeEventListener("abort", tell);
        resolve();
      };
      const waiter = { below, tell };
      this.#told.add(waiter);
      signal?.addEventListener("abort", tell, { once: true });
    });
  }
}
