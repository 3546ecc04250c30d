import { AsyncResource } from "node:async_hooks";

/** Acts that wait, in order, until they are wanted; from then on each follows the one before. */
export class HeldBack {
  #waiting: (() => unknown)[] = [];
  #tail: Promise<void> | undefined;
  #context: AsyncResource | undefined;

  /** Returns what to wait for: nothing before the release. What an act throws is its own matter and ends here. */
  add(act: () => unknown): Promise<void> | undefined {
    if (this.#tail === undefined) {
      this.#waiting.push(act);
      return undefined;
    }
    const next = this.#tail.then(() => this.#act(act));
    this.#tail = next;
    return next;
  }

  /** Does what waits, and from now on everything, in the async context of this call. */
  release(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#context = new AsyncResource("cachesage.early");
    this.#tail = (async () => {
      for (const act of waiting) await this.#act(act);
    })();
    return this.#tail;
  }

  /** Resolves when everything that was added so far is done. */
  async idle(): Promise<void> {
    await this.#tail;
  }

  async #act(act: () => unknown): Promise<void> {
    try {
      await this.#context?.runInAsyncScope(act);
    } catch {
      // Callbacks are contained by LangChain, unless one asks to raise: too late here to stop the node with it.
    }
  }
}
