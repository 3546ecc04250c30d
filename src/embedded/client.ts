import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { EngineStatus } from "../runtime/engine.ts";
import { readMetrics } from "../wire/prometheus.ts";
import type { HintEnvelope, HintReply } from "./hints/envelope.ts";

const health = z.object({
  engine: z.literal("embedded"),
  model: z.string(),
  kv_hints: z.literal("1"),
  block_tokens: z.int().positive(),
  scheduling_policy: z.string().default("fcfs"),
});

const reply = z.object({
  message_id: z.string(),
  outcomes: z.array(
    z.object({
      action_id: z.string(),
      status: z.enum(["applied", "ignored", "rejected", "failed", "cancelled"]),
      reason: z.string().optional(),
      tokens: z.number().optional(),
    }),
  ),
});

/** What a server says about itself. */
export type Health = z.output<typeof health>;

/** Talks to an embedded engine that runs in another process. */
export class EmbeddedClient {
  /** Ends in `/v1`. */
  readonly baseURL: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, apiKey?: string) {
    const root = url.replace(/\/+$/, "").replace(/\/v1$/, "");
    this.baseURL = `${root}/v1`;
    this.#headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  }

  /** Asks the server what it is. Throws EngineError when nothing listens or it is not an embedded engine. */
  async health(signal?: AbortSignal): Promise<Health> {
    const url = this.baseURL.replace(/v1$/, "health");
    const result = health.safeParse(await this.#json(url, { signal: signal ?? null }));
    if (result.success) return result.data;
    throw new EngineError("ENGINE_UNSUPPORTED", "embedded", `${url} is not an embedded engine`, {
      hint: "Name the engine that runs there, or start this one with: cachesage serve",
    });
  }

  /** Sends an envelope; aborting cancels its prefetches. Throws EngineError, or the reason of the abort. */
  async hints(envelope: HintEnvelope, signal?: AbortSignal): Promise<HintReply> {
    const url = `${this.baseURL}/kv_hints`;
    const body = JSON.stringify(envelope);
    const result = reply.safeParse(await this.#json(url, { method: "POST", body, signal: signal ?? null }));
    if (result.success) return result.data as HintReply;
    throw new EngineError("ENGINE_RESPONSE", "embedded", `${url} answered in a shape it should not`);
  }

  /** What the server holds and does now. Throws EngineError, or the reason of the abort. */
  async status(signal?: AbortSignal): Promise<EngineStatus> {
    const url = this.baseURL.replace(/v1$/, "metrics");
    const metrics = readMetrics((await this.#get(url, { signal: signal ?? null })).text);
    const of = (name: string) => metrics.get(name) ?? 0;
    return {
      capacityTokens: of("cachesage_engine_capacity_tokens"),
      residentTokens: of("cachesage_engine_resident_tokens"),
      running: of("vllm:num_requests_running"),
      waiting: of("vllm:num_requests_waiting"),
      prefetch: {
        computed: of("cachesage_engine_prefetch_computed_tokens_total"),
        used: of("cachesage_engine_prefetch_used_tokens_total"),
        wasted: of("cachesage_engine_prefetch_wasted_tokens_total"),
      },
    };
  }

  async #json(url: string, init: RequestInit): Promise<unknown> {
    const { response, text } = await this.#get(url, init);
    try {
      return JSON.parse(text);
    } catch (cause) {
      const type = response.headers.get("content-type") ?? "no content type";
      throw new EngineError("ENGINE_RESPONSE", "embedded", `${url} answered no JSON, got ${type}`, {
        hint: "The url is that of the engine itself, such as http://127.0.0.1:8080/v1.",
        status: response.status,
        cause,
      });
    }
  }

  async #get(url: string, init: RequestInit): Promise<{ response: Response; text: string }> {
    const headers = { ...this.#headers, ...(init.body && { "content-type": "application/json" }) };
    const response = await fetch(url, { ...init, headers }).catch((cause: unknown) => {
      init.signal?.throwIfAborted();
      throw new EngineError("ENGINE_UNREACHABLE", "embedded", `nothing answers at ${url}`, {
        hint: "Start the engine with: cachesage serve",
        cause,
      });
    });
    const text = await response.text();
    if (!response.ok) throw refusal(url, response.status);
    return { response, text };
  }
}

function refusal(url: string, status: number): EngineError {
  const isLocked = status === 401 || status === 403;
  const hint = isLocked
    ? "Pass the key that the server, or the proxy before it, asks for as apiKey."
    : "Check the url: it is that of the engine itself, such as http://127.0.0.1:8080/v1.";
  return new EngineError("ENGINE_RESPONSE", "embedded", `${url} refused, got status ${status}`, {
    hint,
    status,
  });
}
