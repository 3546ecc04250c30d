import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { HintEnvelope, HintReply } from "./hints/envelope.ts";
import type { EmbeddedStats } from "./stats.ts";

const latencyBuckets = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** Prometheus metrics of one engine; vLLM's names where the meaning is the same. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #firstToken: Histogram;
  readonly #latency: Histogram;
  readonly #hints: Counter<"verb" | "status">;

  constructor(model: string, stats: () => EmbeddedStats) {
    const registers = [this.#registry];
    this.#registry.setDefaultLabels({ model_name: model });
    const counter = (name: string, help: string, read: (stats: EmbeddedStats) => number): void => {
      void new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read(stats()));
        },
      });
    };
    const gauge = (name: string, help: string, read: (stats: EmbeddedStats) => number): void => {
      void new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read(stats()));
        },
      });
    };
    counter(
      "vllm:prefix_cache_queries_total",
      "Prompt tokens looked up in the cache",
      (now) => now.promptTokens,
    );
    counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the cache", (now) => now.hitTokens);
    counter("vllm:prompt_tokens_total", "Prompt tokens of admitted requests", (now) => now.promptTokens);
    counter("vllm:generation_tokens_total", "Tokens generated", (now) => now.outputTokens);
    counter(
      "vllm:num_preemptions_total",
      "Requests sent back, for want of blocks or for more urgent ones",
      (now) => now.preemptions,
    );
    gauge("vllm:num_requests_running", "Requests being computed", (now) => now.running);
    gauge("vllm:num_requests_waiting", "Requests waiting", (now) => now.waiting);
    gauge(
      "vllm:kv_cache_usage_perc",
      "Share of the KV budget in use",
      (now) => now.residentTokens / now.capacityTokens,
    );
    gauge("cachesage_engine_capacity_tokens", "KV budget in tokens", (now) => now.capacityTokens);
    gauge("cachesage_engine_resident_tokens", "Tokens in cache", (now) => now.residentTokens);
    counter("cachesage_engine_computed_tokens_total", "Prompt tokens computed", (now) => now.computedTokens);
    counter("cachesage_engine_evicted_blocks_total", "Blocks dropped", (now) => now.evictedBlocks);
    counter(
      "cachesage_engine_prefetch_computed_tokens_total",
      "Tokens computed ahead",
      (now) => now.prefetch.computed,
    );
    counter(
      "cachesage_engine_prefetch_used_tokens_total",
      "Tokens computed ahead, then hit",
      (now) => now.prefetch.used,
    );
    counter(
      "cachesage_engine_prefetch_wasted_tokens_total",
      "Tokens computed in vain",
      (now) => now.prefetch.wasted,
    );
    counter("cachesage_engine_busy_seconds_total", "Time spent computing", (now) => now.busyMs / 1000);
    if (stats().host !== undefined) {
      gauge("cachesage_engine_host_bytes", "Bytes in the host tier", (now) => now.host?.bytes ?? 0);
      counter(
        "cachesage_engine_host_loaded_tokens_total",
        "Tokens loaded from the host tier",
        (now) => now.host?.loadedTokens ?? 0,
      );
    }
    this.#hints = new Counter({
      name: "cachesage_engine_hints_total",
      help: "Hints received",
      labelNames: ["verb", "status"],
      registers,
    });
    this.#firstToken = new Histogram({
      name: "vllm:time_to_first_token_seconds",
      help: "Arrival to first token",
      buckets: latencyBuckets,
      registers,
    });
    this.#latency = new Histogram({
      name: "vllm:e2e_request_latency_seconds",
      help: "Arrival to end of answer",
      buckets: latencyBuckets,
      registers,
    });
  }

  observeFirstToken(milliseconds: number): void {
    this.#firstToken.observe(milliseconds / 1000);
  }

  observeRequest(milliseconds: number): void {
    this.#latency.observe(milliseconds / 1000);
  }

  observeHints(envelope: HintEnvelope, reply: HintReply): void {
    for (const [index, { status }] of reply.outcomes.entries()) {
      const type = envelope.actions[index]?.action_type ?? "";
      // Whatever callers send must not become a label each.
      this.#hints.inc({
        verb: /^kv\.[a-z]{1,16}$/.test(type) && status !== "rejected" ? type : "other",
        status,
      });
    }
  }

  reset(): void {
    this.#registry.resetMetrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The metrics in Prometheus' text format. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}
