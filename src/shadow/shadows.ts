import type { AgentId, PromptShape, RunId, SessionId } from "../runtime/event.ts";
import { ShadowCache } from "./shadow-cache.ts";

/** Shares of a prompt, in [0, 1], that caches of the engine's size would have had under other rules. */
export interface ShadowShares {
  /** Least recently used, tail first. */
  readonly lru: number;
  /** The same, but what only ended runs have used goes first: cachesage without prediction. */
  readonly release: number;
}

/** Rivals of what the engine is told: they get the same requests, and act on nothing. */
export class Shadows {
  readonly #lru = new ShadowCache(false);
  readonly #release = new ShadowCache(true);

  /** Whether they have had to give anything up: before that a cache that was used earlier may hold more. */
  get wereFull(): boolean {
    return this.#lru.wasFull;
  }

  started(run: RunId, session: SessionId | undefined): void {
    this.#lru.started(run, session);
    this.#release.started(run, session);
  }

  /** @param capacity of the engine's cache, in characters. */
  request(run: RunId, agent: AgentId, prompt: PromptShape, capacity: number): ShadowShares {
    let length = prompt.anchor.length;
    for (const part of prompt.history) length += part.length;
    const share = (shadow: ShadowCache) => shadow.request(run, agent, prompt, capacity) / Math.max(1, length);
    return { lru: share(this.#lru), release: share(this.#release) };
  }

  /** @param length of the answer, in characters. */
  answered(run: RunId, agent: AgentId, length: number): void {
    this.#lru.answered(run, agent, length);
    this.#release.answered(run, agent, length);
  }

  ended(run: RunId, session: SessionId | undefined): void {
    this.#lru.ended(run, session);
    this.#release.ended(run, session);
  }
}
