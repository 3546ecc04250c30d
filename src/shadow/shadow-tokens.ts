import type { Event, PromptShape } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import { type ShadowShares, Shadows } from "./shadows.ts";

interface OpenRequest {
  readonly characters: number;
  readonly shares: ShadowShares;
}

/** Requests under way that are remembered; beyond, the oldest are not counted. */
const MOST_OPEN = 10_000;
/** Until a request has told. */
const TOKENS_PER_CHARACTER = 0.25;

/** Counts prompt tokens that the shadows of an engine's cache would have had. Constant work per event, but for a prompt's parts. */
export class ShadowTokens {
  readonly #kvTokens: number;
  readonly #shadows = new Shadows();
  readonly #open = new Newest<string, OpenRequest>(MOST_OPEN);
  /** Of requests whose tokens were reported. */
  #tokens = 0;
  #characters = 0;

  /** @param kvTokens size of the engine's cache. */
  constructor(kvTokens: number) {
    this.#kvTokens = kvTokens;
  }

  /** @returns tokens found by each shadow, when a request has ended whose tokens are known. */
  observe(event: Event): ShadowShares | undefined {
    if (event.type === "run-start") this.#shadows.started(event.run, event.session);
    else if (event.type === "run-end") this.#shadows.ended(event.run, event.session);
    else if (event.type === "request-start") {
      const { run, agent, prompt, request } = event;
      const shares = this.#shadows.request(run, agent, prompt, this.#kvTokens / this.#tokensPerCharacter);
      this.#open.set(request, { shares, characters: lengthOf(prompt) });
    } else if (event.type === "request-end") {
      const open = this.#open.get(event.request);
      this.#open.delete(event.request);
      const { promptTokens, outputTokens = 0 } = event.usage ?? {};
      if (!open || promptTokens === undefined) return undefined;
      this.#tokens += promptTokens;
      this.#characters += open.characters;
      this.#shadows.answered(event.run, event.agent, outputTokens / this.#tokensPerCharacter);
      return { lru: open.shares.lru * promptTokens, release: open.shares.release * promptTokens };
    }
    return undefined;
  }

  get #tokensPerCharacter(): number {
    return this.#tokens > 0 && this.#characters > 0 ? this.#tokens / this.#characters : TOKENS_PER_CHARACTER;
  }
}

function lengthOf({ anchor, history }: PromptShape): number {
  return history.reduce((length, part) => length + part.length, anchor.length);
}
