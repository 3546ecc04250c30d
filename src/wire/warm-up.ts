import PQueue from "p-queue";
import type { Hint, Outcome } from "../runtime/action.ts";
import type { EngineHttp } from "./engine-http.ts";

export interface WarmUpOptions {
  /** Requests under way at the same time. */
  readonly atOnce: number;
  /** Fields of each warm-up request, over the prompt's own. */
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `/v1/chat/completions`. */
  readonly path?: string;
}

/** What warm-ups added to an engine's own counters: to be subtracted from what is reported of the app. */
export interface WarmUpTotals {
  readonly requests: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

interface Usage {
  readonly prompt_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null } | null;
}

/** Prefetch by warm-up: a request for a single token, which leaves its prompt in the engine's prefix cache. */
export class WarmUp {
  readonly #http: EngineHttp;
  readonly #options: WarmUpOptions;
  readonly #queue: PQueue;
  #totals: WarmUpTotals = { requests: 0, promptTokens: 0, cachedTokens: 0 };

  constructor(http: EngineHttp, options: WarmUpOptions) {
    this.#http = http;
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.atOnce });
  }

  get totals(): WarmUpTotals {
    return this.#totals;
  }

  /** Sends a prefetch, the probable ones first; aborting closes its connection. */
  send(hint: Hint, signal: AbortSignal | undefined): Promise<Outcome> {
    if (hint.type !== "prefetch") return Promise.resolve({ status: "failed", reason: "this is no prefetch" });
    const priority = Math.round(hint.probability * 1000);
    return this.#queue.add(() => this.#request(hint.body, signal), { priority, ...(signal && { signal }) });
  }

  async #request(prompt: unknown, signal: AbortSignal | undefined): Promise<Outcome> {
    if (typeof prompt !== "object" || prompt === null)
      return { status: "rejected", reason: "there is no request body to prefill" };
    const { path = "/v1/chat/completions", fields, headers } = this.#options;
    const body = { ...prompt, ...fields, max_tokens: 1, stream: false };
    const request = { body, signal, ...(headers && { headers }) };
    const { usage } = (await this.#http.json(path, request)) as { readonly usage?: Usage };
    const promptTokens = usage?.prompt_tokens;
    const cachedTokens = usage?.prompt_tokens_details?.cached_tokens ?? 0;
    this.#totals = {
      requests: this.#totals.requests + 1,
      promptTokens: this.#totals.promptTokens + (promptTokens ?? 0),
      cachedTokens: this.#totals.cachedTokens + cachedTokens,
    };
    return { status: "applied", ...(promptTokens !== undefined && { tokens: promptTokens - cachedTokens }) };
  }
}
