import { randomBytes } from "node:crypto";
import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { EngineHttp } from "../wire/engine-http.ts";
import { WarmUpTotals } from "../wire/warm-up-totals.ts";

const answer = z.object({
  usage: z
    .object({
      prompt_tokens: z.number().nullish(),
      prompt_tokens_details: z.object({ cached_tokens: z.number().nullish() }).nullish(),
    })
    .nullish(),
});

/** What a trial request came to. */
export interface Trial {
  readonly ms: number;
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  /** The server's words when it refused; undefined when it took the request. */
  readonly refusal?: string;
}

export interface Prompt {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

/** A single trial may take that long, in milliseconds. */
const PATIENCE_MS = 60_000;

/** Sends requests for one token, each about a prompt that nobody sent before. */
export class TrialRequests {
  /** What was asked so far. */
  readonly totals = new WarmUpTotals();
  readonly #http: EngineHttp;
  readonly #model: string;
  readonly #signal: AbortSignal;

  constructor(http: EngineHttp, model: string, signal: AbortSignal) {
    this.#http = http;
    this.#model = model;
    this.#signal = signal;
  }

  /** A prompt of about 600 tokens with a nonce near its start; hardly any of it is an anchor that prompts share. */
  prompt(): Prompt {
    const nonce = randomBytes(8).toString("hex");
    const text = `Trial ${nonce}. ${"The planner asks a reviewer to check every section for accurate sources. ".repeat(40)}`;
    return {
      model: this.#model,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: text },
      ],
    };
  }

  /** Throws EngineError when the server is gone; a refusal is an answer. */
  async ask(
    prompt: Prompt,
    fields: Readonly<Record<string, unknown>> = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Trial> {
    const body = { ...prompt, max_tokens: 1, temperature: 0, ...fields };
    const request = { body, headers, signal: this.#signal, withinMs: PATIENCE_MS };
    const start = performance.now();
    try {
      const { usage } = answer.parse(await this.#http.json("/v1/chat/completions", request));
      const promptTokens = usage?.prompt_tokens ?? null;
      const cachedTokens = usage?.prompt_tokens_details?.cached_tokens ?? null;
      this.totals.add(promptTokens ?? 0, cachedTokens ?? 0);
      return { ms: performance.now() - start, promptTokens, cachedTokens };
    } catch (error) {
      const isRefusal = error instanceof EngineError && (error.status === 400 || error.status === 422);
      if (!isRefusal) throw error;
      const [refusal = ""] = error.message.split("\n");
      return { ms: performance.now() - start, promptTokens: null, cachedTokens: null, refusal };
    }
  }
}
