import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Hint, Outcome, PrefetchHint, PrefixRef } from "../runtime/action.ts";
import type { Decoration } from "../runtime/engine.ts";
import type { EngineHttp } from "./engine-http.ts";
import type { Foreground } from "./foreground.ts";
import { WarmUpTotals } from "./warm-up-totals.ts";

/** Option of adapters that prefetch by warm-up. */
export const prefetchesAtOnce = z.int().min(1).default(2).describe("Prefetches under way at the same time");

export interface WarmUpOptions {
  /** Fields and headers of a warm-up request, over the prompt's own: as those of the request that it prepares. */
  readonly decorate?: (prefix: PrefixRef) => Decoration;
  /** Fields that make the engine stop after the prompt. Default `max_tokens: 1`. */
  readonly stop?: Readonly<Record<string, unknown>>;
  /** Holds a warm-up back while so many of the app's own requests wait for their first token, or more. */
  readonly after?: { readonly foreground: Foreground; readonly idleBelow: number };
}

const answer = z.object({
  usage: z
    .object({
      prompt_tokens: z.number().optional(),
      prompt_tokens_details: z.object({ cached_tokens: z.number().nullish() }).nullish(),
    })
    .nullish(),
});

/** Begins the request id of each warm-up, for whoever reads the server's log. */
const TAG = "cachesage-warm-up";

/** Prefetch by warm-up: a request for a single token, which leaves its prompt in the engine's prefix cache. */
export class WarmUp {
  readonly #http: EngineHttp;
  readonly #options: WarmUpOptions;
  /** What was sent so far. */
  readonly totals = new WarmUpTotals();

  constructor(http: EngineHttp, options: WarmUpOptions) {
    this.#http = http;
    this.#options = options;
  }

  /** Sends a prefetch; aborting closes its connection. */
  send(hint: Hint, signal: AbortSignal | undefined): Promise<Outcome> {
    if (hint.type === "prefetch") return this.#request(hint, signal);
    return Promise.resolve({ status: "failed", reason: "this is no prefetch" });
  }

  async #request(hint: PrefetchHint, signal: AbortSignal | undefined): Promise<Outcome> {
    const { prefix, body: prompt } = hint;
    if (typeof prompt !== "object" || prompt === null)
      return { status: "rejected", reason: "there is no request body to prefill" };
    const { after } = this.#options;
    await after?.foreground.quiet(signal, after.idleBelow);
    signal?.throwIfAborted();
    const { stop = { max_tokens: 1 }, decorate } = this.#options;
    const { fields, headers } = decorate?.(prefix) ?? {};
    const body = { ...prompt, ...fields, ...stop, stream: false };
    const request = { body, signal, headers: { "x-request-id": `${TAG}-${randomUUID()}`, ...headers } };
    const { usage } = answer.parse(await this.#http.json("/v1/chat/completions", request));
    const promptTokens = usage?.prompt_tokens;
    const cachedTokens = usage?.prompt_tokens_details?.cached_tokens ?? 0;
    this.totals.add(promptTokens ?? 0, cachedTokens);
    return { status: "applied", ...(promptTokens !== undefined && { tokens: promptTokens - cachedTokens }) };
  }
}
