import { z } from "zod";
import { EngineError } from "../errors.ts";
import { type Hint, type Outcome, type PrefixRef, prefixId } from "../runtime/action.ts";
import type { Event } from "../runtime/event.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { Foreground, idleBelow } from "../wire/foreground.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { kvEventStreams } from "../wire/kv-event-streams.ts";
import { load, metricStatus } from "../wire/metric-status.ts";
import { steps } from "../wire/priority.ts";
import { ServedTotals } from "../wire/served-totals.ts";
import { Sessions } from "../wire/sessions.ts";
import { prefetchesAtOnce, WarmUp } from "../wire/warm-up.ts";

const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:30000/v1").describe("Base URL of the server"),
  apiKey: z.string().min(1).optional().describe("Key, when the server was started with --api-key"),
  priority: z
    .boolean()
    .default(false)
    .describe(
      "Keep by value, and serve by priority: only with --enable-priority-scheduling and --radix-eviction-policy priority, which also lets " +
        "valuable prompts be served first",
    ),
  sessions: z
    .boolean()
    .default(false)
    .describe(
      "Let go of ended runs: only with --enable-session-radix-cache, which keeps open sessions' prompts longer",
    ),
  cacheSalt: z
    .string()
    .min(1)
    .optional()
    .describe("Keeps this app's cache apart from others' on the same server"),
  prefetchesAtOnce,
  idleBelow,
  events: kvEventOptions,
});

const models = z.object({
  data: z.array(z.object({ id: z.string(), owned_by: z.string().optional() })).min(1),
});
const serverInfo = z.object({ version: z.string().optional(), page_size: z.number().optional() });

const totalNames = {
  requests: ["sglang:num_requests_total"],
  promptTokens: ["sglang:prompt_tokens_total"],
  cachedTokens: ["sglang:cached_tokens_total"],
};

/** Values are in [0, 1], SGLang's priorities integers; higher is more, and requests without one have 0. */
const PRIORITY_STEPS = 100;
const MAX_ENDED = 4096;

/**
 * SGLang. Not yet seen on a real server: written to its documentation and protocol
 * (https://docs.sglang.io/docs/advanced_features/session_radix_cache).
 *
 * - A node of its radix tree keeps the highest priority of all requests that reached it, for good, and requests without
 *   priority scheduling have none: both flags are needed, and nothing is pinned.
 * - The same number orders its waiting queue, so a value is also a place in the queue, and the call's own priority, which is
 *   added, is also a value; prefetches have none.
 * - `session_id` labels what a request leaves in the cache; `/close_session` makes it go first.
 * - Cached tokens are reported with `--enable-cache-report` only, and no hit may be reported as null.
 * - Its block hashes know no salt: with `cacheSalt`, what its events say of a prompt may be another tenant's.
 */
class SgLang {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #warmUp: WarmUp;
  readonly #foreground = new Foreground();
  readonly #sessions = new Sessions();
  /** Runs without a thread that have ended, and whose session is still to be closed. */
  readonly #ended = new Set<string>();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "sglang", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      after: { foreground: this.#foreground, idleBelow: chosen.idleBelow },
      decorate: (prefix) => ({ fields: this.#fields(this.#sessions.of(prefix)) }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, priority, sessions, events } = this.#options;
    const served = new ServedTotals(totalNames, this.#warmUp.totals);
    return createHttpAdapter({
      name: "sglang",
      http: this.#http,
      apiKey: apiKey ?? "none",
      prefetchesAtOnce: this.#options.prefetchesAtOnce,
      probe: (signal) => this.#probe(signal),
      served,
      status: metricStatus(this.#http, served, (sums) =>
        load(sums, { running: "sglang:num_running_reqs", waiting: "sglang:num_queue_reqs" }),
      ),
      supports: () => ({
        prefetch: "emulated",
        cancel: "emulated",
        ...(priority && { retain: "native", priority: "native" }),
        ...(sessions && { release: "native" }),
      }),
      decorate: ({ identity: { agent, run, session }, priority: own }, decisions) => ({
        fields: {
          ...this.#fields(session ?? run),
          ...(priority && { priority: priorityOf(decisions, { agent, run }) + steps(own) }),
        },
      }),
      observe: (event) => this.#observe(event),
      ...kvEventStreams(events),
      verbs: {
        prefetch: (hint, signal) => this.#warmUp.send(hint, signal),
        release: (hint, signal) => this.#release(hint, signal),
      },
    });
  }

  #fields(session: string | undefined): Readonly<Record<string, unknown>> {
    const { cacheSalt, sessions } = this.#options;
    return {
      ...(sessions && session !== undefined && { session_id: session }),
      ...(cacheSalt !== undefined && { cache_salt: cacheSalt }),
    };
  }

  #observe(event: Event): void {
    this.#sessions.observe(event);
    this.#foreground.observe(event);
    if (event.type === "run-end" && event.session === undefined && this.#ended.size < MAX_ENDED)
      this.#ended.add(event.run);
  }

  /** A run's prompts are let go together, with its session; a thread may go on, and keeps its own. */
  async #release({ prefix: { run } }: Hint, signal: AbortSignal | undefined): Promise<Outcome> {
    if (run === undefined) return { status: "ignored", reason: "an anchor belongs to no session" };
    if (!this.#ended.delete(run))
      return { status: "ignored", reason: "its session is closed already, or goes on" };
    await this.#http.text("/close_session", { body: { session_id: run }, signal });
    return { status: "applied" };
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const { data } = models.parse(await this.#http.probe("/v1/models", signal));
    const said = serverInfo.safeParse(
      await this.#http.json("/get_server_info", { signal }).catch(() => undefined),
    );
    if (!said.success && data[0]?.owned_by !== "sglang")
      throw new EngineError("ENGINE_UNSUPPORTED", "sglang", `${this.#http.root} is not SGLang`, {
        hint: "It has no /get_server_info, and its models are owned by another. Name the engine that runs there.",
      });
    const { version, page_size: blockTokens } = said.data ?? {};
    return {
      engine: "sglang",
      models: data.map(({ id }) => id),
      ...(version !== undefined && { version }),
      ...(blockTokens !== undefined && { blockTokens }),
    };
  }
}

/** The higher of the values of a prompt and of its anchor. */
function priorityOf(decisions: readonly Hint[], prefix: PrefixRef): number {
  const ids = [prefixId(prefix), prefixId({ agent: prefix.agent })];
  const values = decisions
    .filter((action) => action.type === "retain" && ids.includes(prefixId(action.prefix)))
    .map((action) => ("value" in action ? action.value : 0));
  return Math.round(Math.max(0, ...values) * PRIORITY_STEPS);
}

export default {
  name: "sglang",
  description: "SGLang: keeps by priority, lets go by session, prefetch by requests for one token, KV events",
  remedies: {
    "cached tokens": "--enable-cache-report",
    metrics: "--enable-metrics",
    events: `--kv-events-config '{"publisher":"zmq","endpoint":"tcp://*:5557","replay_endpoint":"tcp://*:5558"}'`,
    priority: "--enable-priority-scheduling",
    retain:
      "--enable-priority-scheduling --radix-eviction-policy priority, and the adapter's option priority",
    release: "--enable-session-radix-cache, and the adapter's option sessions",
  },
  priorityFields: { priority: 0 },
  options,
  create: (chosen): EngineAdapter => new SgLang(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
