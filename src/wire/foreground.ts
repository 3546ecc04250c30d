import type { Event } from "../runtime/event.ts";

/**
 * The app's own requests between their start and their first token: while there is one, the engine's time is theirs.
 * Requests whose first token nobody tells count until they end.
 */
export class Foreground {
  readonly #waiting = new Set<string>();
  #quiet: (() => void)[] = [];

  observe(event: Event): void {
    if (event.type === "request-start") this.#waiting.add(event.request);
    if (event.type !== "request-first-token" && event.type !== "request-end") return;
    this.#waiting.delete(event.request);
    if (this.#waiting.size > 0) return;
    const told = this.#quiet;
    this.#quiet = [];
    for (const tell of told) tell();
  }

  /** Resolves when none waits for its first token, or with the signal. */
  quiet(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size === 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#quiet.push(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
