import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { EngineStatus } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
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
  readonly #http: EngineHttp;

  constructor(url: string, apiKey?: string) {
    const start = "Start the engine with: cachesage serve, or name the engine that runs there.";
    this.#http = new EngineHttp({ engine: "embedded", url, apiKey, start });
  }

  /** Ends in `/v1`. */
  get baseURL(): string {
    return this.#http.baseURL;
  }

  /** Asks the server what it is. Throws EngineError when nothing listens or it is not an embedded engine. */
  async health(signal?: AbortSignal): Promise<Health> {
    const result = health.safeParse(await this.#http.probe("/health", signal));
    if (result.success) return result.data;
    throw new EngineError("ENGINE_UNSUPPORTED", "embedded", `${this.#http.root} is not an embedded engine`, {
      hint: "Name the engine that runs there, or start this one with: cachesage serve",
    });
  }

  /** Sends an envelope; aborting cancels its prefetches. Throws EngineError, or the reason of the abort. */
  async hints(body: HintEnvelope, signal?: AbortSignal): Promise<HintReply> {
    const result = reply.safeParse(await this.#http.json("/v1/kv_hints", { body, signal }));
    if (result.success) return result.data as HintReply;
    throw new EngineError(
      "ENGINE_RESPONSE",
      "embedded",
      `${this.baseURL}/kv_hints answered in a shape it should not`,
    );
  }

  /** What the server holds and does now. Throws EngineError, or the reason of the abort. */
  async status(signal?: AbortSignal): Promise<EngineStatus> {
    const metrics = readMetrics(await this.#http.text("/metrics", { signal }));
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
}
