import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { PrefixRef } from "../runtime/action.ts";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo, EngineStatus } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { Foreground, idleBelow } from "../wire/foreground.ts";
import { retainEnvelope } from "../wire/hint-envelope.ts";
import { COUNTERS_TIMEOUT_MS, createHttpAdapter } from "../wire/http-adapter.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { readAll } from "../wire/kv-event-streams.ts";
import type { KvEventStream } from "../wire/kv-events.ts";
import { load, metricStatus } from "../wire/metric-status.ts";
import { ownModels } from "../wire/offered-models.ts";
import { BEHIND_ALL_OTHERS, lowerFirst } from "../wire/priority.ts";
import { ServedTotals } from "../wire/served-totals.ts";
import { sessionHeader, Sessions } from "../wire/sessions.ts";
import { tokenizeChat } from "../wire/tokenize-chat.ts";
import { prefetchesAtOnce, WarmUp } from "../wire/warm-up.ts";

const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:8000/v1").describe("Base URL of the server"),
  apiKey: z.string().min(1).optional().describe("Key, when the server was started with --api-key"),
  priority: z
    .boolean()
    .default(false)
    .describe(
      "Calls of higher priority go first, and prefetches last; only with --scheduling-policy priority, refused otherwise",
    ),
  kvHints: z
    .boolean()
    .default(false)
    .describe("Send retain values as a kv_hints envelope, for builds that read one; no release does so far"),
  cacheSalt: z
    .string()
    .regex(/^[^@/\\\0]{1,128}$/)
    .optional()
    .describe(
      "Keeps this app's cache apart from others' on the same server, while hints are on and the server refuses none of them",
    ),
  prefetchesAtOnce,
  idleBelow,
  events: kvEventOptions,
});

const version = z.object({ version: z.string() });

const eventSources = z.record(
  z.string(),
  z.object({
    enable_kv_cache_events: z.boolean(),
    publisher: z.string().nullish(),
    endpoint: z.string(),
    replay_endpoint: z.string().nullish(),
    topic: z.string().nullish(),
  }),
);

const totalNames = {
  requests: ["vllm:request_success_total"],
  promptTokens: ["vllm:prefix_cache_queries_total"],
  cachedTokens: ["vllm:prefix_cache_hits_total"],
};

/**
 * vLLM (seen: 0.32.0 on CPU). No release takes a word about what to keep: its cache is LRU by when a request let go of a
 * block. So a prefetch is a request for one token (the technique called warm-up), and cancelling it closes its connection.
 *
 * - Only whole blocks hit, and at least the last token is computed again: a prompt below one block never hits.
 * - A request for one token moves a prefix to the young end of that LRU, so touching one in time keeps it: two prefixes of 710
 *   tokens among 12 used once, room for 8, were 99 instead of 0 % cached. But a touch took 43 ms, computing the prefix again 81,
 *   and at least two touches are needed between two uses there, while a prefetch has the same effect with one computation off
 *   the critical path. So there is no retain. Measured with a tiny model on a busy CPU; a large model on a GPU may differ.
 * - `priority` orders the waiting queue alone; any but 0 is an error unless the server runs `--scheduling-policy priority`.
 * - Unknown fields are ignored without a word, so `session_id` costs nothing where it is not known.
 * - Cached tokens are reported with `--enable-prompt-tokens-details` only.
 * - A warm-up counts in the server's histograms and prefix cache counters; `ServedTotals` takes it out of the counters.
 * - Events come with `--kv-events-config`; a data-parallel rank r publishes at its port + r.
 */
class Vllm {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #warmUp: WarmUp;
  readonly #foreground = new Foreground();
  readonly #sessions = new Sessions();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "vllm", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      after: { foreground: this.#foreground, idleBelow: chosen.idleBelow },
      decorate: (prefix) => ({
        fields: { ...this.#fields(prefix), ...(chosen.priority && { priority: BEHIND_ALL_OTHERS }) },
        headers: sessionHeader(this.#sessions.of(prefix)),
      }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, kvHints, priority } = this.#options;
    const served = new ServedTotals(totalNames, this.#warmUp.totals);
    return createHttpAdapter({
      name: "vllm",
      http: this.#http,
      apiKey: apiKey ?? "none",
      prefetchesAtOnce: this.#options.prefetchesAtOnce,
      probe: (signal) => this.#probe(signal),
      // A kv_hints envelope is accepted and executed by no release, so it does not make retain a verb of the engine.
      supports: () => ({ prefetch: "emulated", cancel: "emulated", ...(priority && { priority: "native" }) }),
      decorate: ({ identity: { session, run }, priority: own }, decisions) => ({
        fields: {
          ...this.#fields({ run: session ?? run }),
          ...(priority && lowerFirst(own)),
          ...(kvHints && { kv_hints: retainEnvelope(decisions) }),
        },
        headers: sessionHeader(session ?? run),
      }),
      observe: (event) => {
        this.#sessions.observe(event);
        this.#foreground.observe(event);
      },
      tokenize: (body, signal) => tokenizeChat(this.#http, body, signal),
      served,
      status: metricStatus(this.#http, served, statusOf),
      readsEvents: this.#options.events.length > 0,
      events: (signal) => this.#events(signal),
      verbs: {
        prefetch: (hint, signal) => this.#warmUp.send(hint, signal),
      },
    });
  }

  #fields(prefix: Pick<PrefixRef, "run">): Readonly<Record<string, unknown>> {
    const { cacheSalt } = this.#options;
    const session = this.#sessions.of(prefix);
    return {
      ...(session !== undefined && { session_id: session }),
      ...(cacheSalt !== undefined && { cache_salt: cacheSalt }),
    };
  }

  async *#events(signal: AbortSignal | undefined): AsyncGenerator<CacheEvent> {
    const given = this.#options.events;
    const streams = given.length > 0 ? given : await this.#eventSources(signal);
    yield* readAll(streams, signal);
  }

  /** What the server says of its own publishers; newer ones do, at `/kv_event_sources`. */
  async #eventSources(signal: AbortSignal | undefined): Promise<readonly KvEventStream[]> {
    const said = eventSources.safeParse(
      await this.#http.probe("/kv_event_sources", signal).catch(() => undefined),
    );
    const { hostname } = new URL(this.#http.root);
    const reachable = (address: string): string =>
      address.replace(/\/\/(\*|0\.0\.0\.0|\[::\])/, `//${hostname}`);
    return Object.values(said.data ?? {})
      .filter(({ enable_kv_cache_events: isOn, publisher }) => isOn && publisher === "zmq")
      .map(({ endpoint, replay_endpoint: replay, topic }) => ({
        endpoint: reachable(endpoint),
        ...(replay && { replayEndpoint: reachable(replay) }),
        ...(topic && { topic }),
      }));
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const { ids, isOwn } = await ownModels(this.#http, "vllm", signal);
    const said = version.safeParse(await this.#http.probe("/version", signal).catch(() => undefined));
    if (!said.success && !isOwn)
      throw new EngineError("ENGINE_UNSUPPORTED", "vllm", `${this.#http.root} is not vLLM`, {
        hint: "It names no version, and its models are owned by another. Name the engine that runs there.",
      });
    const blockTokens = await this.#blockTokens(signal);
    return {
      engine: "vllm",
      ...(said.success && { version: said.data.version }),
      models: ids,
      ...(blockTokens !== undefined && { blockTokens }),
    };
  }

  async #blockTokens(signal: AbortSignal | undefined): Promise<number | undefined> {
    const page = await this.#http.text("/metrics", { signal, withinMs: COUNTERS_TIMEOUT_MS }).catch(() => "");
    return Number(/vllm:cache_config_info\{[^}]*\bblock_size="(\d+)"/.exec(page)?.[1]) || undefined;
  }
}

/** Ranks of one server are alike, so that the mean of what they use is that of all. */
function statusOf(sums: ReadonlyMap<string, number>, page: string): EngineStatus {
  const ranks = [...page.matchAll(/^vllm:cache_config_info\{(.*)\}/gm)].map(([, labels = ""]) => {
    const of = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(labels)?.[1]);
    return of("block_size") * of("num_gpu_blocks");
  });
  const capacityTokens = ranks.reduce((sum, tokens) => sum + tokens, 0);
  const used = sums.get("vllm:kv_cache_usage_perc");
  return {
    ...load(sums, { running: "vllm:num_requests_running", waiting: "vllm:num_requests_waiting" }),
    ...(capacityTokens > 0 && { capacityTokens }),
    ...(capacityTokens > 0 &&
      used !== undefined && { residentTokens: Math.round((capacityTokens * used) / ranks.length) }),
  };
}

export default {
  name: "vllm",
  description: "vLLM: prefetch by requests for one token, session ids, KV events",
  seen: "vLLM 0.32.0 on CPU",
  remedies: {
    "cached tokens": "--enable-prompt-tokens-details",
    events: `--kv-events-config '{"enable_kv_cache_events":true,"publisher":"zmq","endpoint":"tcp://*:5557","replay_endpoint":"tcp://*:5558"}'`,
    priority: "--scheduling-policy priority, and the adapter's option priority",
  },
  priorityFields: { priority: BEHIND_ALL_OTHERS },
  options,
  create: (chosen): EngineAdapter => new Vllm(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
