import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import { CONNECT_TIMEOUT_MS, EngineHttp } from "../wire/engine-http.ts";
import { Foreground, idleBelow } from "../wire/foreground.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { readAll } from "../wire/kv-event-streams.ts";
import { mergeEvents } from "../wire/merge-events.ts";
import { ownModels } from "../wire/offered-models.ts";
import { PulledEvents } from "../wire/pulled-events.ts";
import { sessionHeader, Sessions } from "../wire/sessions.ts";
import { prefetchesAtOnce, WarmUp } from "../wire/warm-up.ts";

const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:8000/v1").describe("Base URL of trtllm-serve"),
  apiKey: z.string().min(1).optional().describe("Key for a gateway before the server"),
  priority: z
    .boolean()
    .default(false)
    .describe(
      "Calls of higher priority go first, and prefetches last; only with scheduler_config.waiting_queue_policy=priority",
    ),
  cacheSalt: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Keeps this app's cache apart from others' on the same server, while hints are on and the server refuses none of them",
    ),
  prefetchesAtOnce,
  idleBelow,
  pullEventsMs: z
    .int()
    .min(10)
    .optional()
    .describe("Ask for KV events that often, in milliseconds; whoever asks takes them from all others"),
  events: kvEventOptions,
});

const version = z.object({ version: z.string() });

/** Priorities are in [0, 1], higher is earlier, and 0.5 is what requests without one have. */
const BEHIND_ALL_OTHERS = 0;

/**
 * TensorRT-LLM's trtllm-serve. Not yet seen on a real server: written to its protocol
 * (https://github.com/NVIDIA/TensorRT-LLM/blob/main/tensorrt_llm/serve/openai_protocol.py).
 *
 * - It is strict: a field that it does not know is refused. So only what it declares is sent, and the conversation goes in a
 *   header, which older servers ignore, not as `conversation_params`.
 * - There is no retention over HTTP: retain and release are absent.
 * - Events are pulled (`event_buffer_max_size` above 0) or pushed (`kv_events_config`, PyTorch backend); with the push, the
 *   pull answers nothing. Pulling drains them: one reader only.
 */
class TensorRtLlm {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #warmUp: WarmUp;
  readonly #foreground = new Foreground();
  readonly #sessions = new Sessions();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "tensorrt-llm", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      after: { foreground: this.#foreground, idleBelow: chosen.idleBelow },
      decorate: (prefix) => ({
        fields: { ...this.#fields(), ...(chosen.priority && { priority: BEHIND_ALL_OTHERS }) },
        headers: sessionHeader(this.#sessions.of(prefix)),
      }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, events, priority, pullEventsMs } = this.#options;
    return createHttpAdapter({
      name: "tensorrt-llm",
      http: this.#http,
      apiKey: apiKey ?? "none",
      prefetchesAtOnce: this.#options.prefetchesAtOnce,
      probe: (signal) => this.#probe(signal),
      supports: () => ({ prefetch: "emulated", cancel: "emulated", ...(priority && { priority: "native" }) }),
      // Its scale is the runtime's own.
      decorate: ({ identity: { session, run }, priority: own }) => ({
        fields: { ...this.#fields(), ...(priority && own !== undefined && { priority: own }) },
        headers: sessionHeader(session ?? run),
      }),
      observe: (event) => {
        this.#sessions.observe(event);
        this.#foreground.observe(event);
      },
      ...((events.length > 0 || pullEventsMs !== undefined) && {
        readsEvents: true,
        events: (signal) =>
          mergeEvents(
            [
              readAll(events, signal),
              ...(pullEventsMs === undefined ? [] : [this.#pull(pullEventsMs, signal)]),
            ],
            signal,
          ),
      }),
      verbs: {
        prefetch: (hint, signal) => this.#warmUp.send(hint, signal),
      },
    });
  }

  #fields(): Readonly<Record<string, unknown>> {
    const { cacheSalt } = this.#options;
    return cacheSalt === undefined ? {} : { cache_salt: cacheSalt };
  }

  async *#pull(everyMs: number, signal: AbortSignal | undefined): AsyncGenerator<CacheEvent> {
    const pulled = new PulledEvents(this.#http.root);
    for (;;) {
      if (signal?.aborted) return;
      const answer = await this.#http
        .json("/kv_cache_events", { method: "POST", signal, withinMs: CONNECT_TIMEOUT_MS })
        .catch(() => undefined);
      yield* pulled.read(answer, performance.now());
      const wait = signal === undefined ? { ref: false } : { signal, ref: false };
      await delay(everyMs, undefined, wait).catch(() => {});
    }
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const { ids } = await ownModels(this.#http, "tensorrt-llm", signal);
    const said = version.safeParse(await this.#http.probe("/version", signal).catch(() => undefined));
    return {
      engine: "tensorrt-llm",
      models: ids,
      ...(said.success && { version: said.data.version }),
    };
  }
}

export default {
  name: "tensorrt-llm",
  description:
    "TensorRT-LLM: conversation ids, prefetch by requests for one token, KV events pulled or pushed",
  remedies: {
    metrics: "return_perf_metrics: true",
    events: "kv_cache_config: { event_buffer_max_size: 16384 }, and the adapter's option pullEventsMs",
    priority: "scheduler_config: { waiting_queue_policy: priority }, and the adapter's option priority",
  },
  options,
  create: (chosen): EngineAdapter => new TensorRtLlm(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
