import { z } from "zod";
import { EngineError } from "../errors.ts";
import { type Hint, type Outcome, type PrefixRef, prefixId, promptOf } from "../runtime/action.ts";
import type { Event } from "../runtime/event.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { Foreground, idleBelow } from "../wire/foreground.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { kvEventStreams } from "../wire/kv-event-streams.ts";
import { load, metricStatus } from "../wire/metric-status.ts";
import { ownModels } from "../wire/offered-models.ts";
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
    .describe(
      "Keeps this app's cache apart from others' on the same server, while hints are on and the server refuses none of them",
    ),
  prefetchesAtOnce,
  idleBelow,
  events: kvEventOptions,
});

/** What the server tells of itself, its flags among it, by their names. */
const serverInfo = z.object({
  version: z.string().optional(),
  page_size: z.number().optional(),
  enable_priority_scheduling: z.boolean().optional(),
  schedule_low_priority_values_first: z.boolean().optional(),
  radix_eviction_policy: z.string().optional(),
  enable_session_radix_cache: z.boolean().optional(),
});

const totalNames = {
  requests: ["sglang:num_requests_total"],
  promptTokens: ["sglang:prompt_tokens_total"],
  cachedTokens: ["sglang:cached_tokens_total"],
};

/** Values are in [0, 1], SGLang's priorities integers; higher is more, and requests without one come after all others. */
const PRIORITY_STEPS = 100;
const MAX_ENDED = 4096;

/**
 * SGLang. Not yet seen on a real server: written to its documentation and protocol
 * (https://docs.sglang.io/docs/advanced_features/session_radix_cache).
 *
 * - It tells its flags at `/server_info`. Without `--enable-priority-scheduling` it takes priorities and ignores them, or answers 503
 *   to each with `--abort-on-priority-when-disabled`: an option counts only where its flag is on, or not told, and none is sent
 *   where lower goes first (`--schedule-low-priority-values-first`).
 * - A node of its radix tree keeps the highest priority of all requests that reached it, for good, and requests without
 *   priority scheduling have none: both flags are needed, and nothing is pinned.
 * - The same number orders its waiting queue, so a value is also a place in the queue, and the call's own priority, which is
 *   added, is also a value. Prefetches have none, which comes last, as those of other apps that send none.
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
  #flags: z.output<typeof serverInfo> = {};

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "sglang", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      after: { foreground: this.#foreground, idleBelow: chosen.idleBelow },
      decorate: (prefix) => ({ fields: this.#fields(this.#sessions.of(prefix)) }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, events } = this.#options;
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
        ...(this.#keepsByPriority && { retain: "native" }),
        ...(this.#servesByPriority && { priority: "native" }),
        ...(this.#closesSessions && { release: "native" }),
      }),
      decorate: ({ identity: { agent, run, session }, priority: own, branch = 0 }, decisions) => ({
        fields: {
          ...this.#fields(session ?? run),
          ...(this.#servesByPriority && {
            priority:
              (this.#keepsByPriority ? priorityOf(decisions, promptOf(agent, run, branch)) : 0) + steps(own),
          }),
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

  get #servesByPriority(): boolean {
    const { enable_priority_scheduling: isOn, schedule_low_priority_values_first: isLowFirst } = this.#flags;
    return this.#options.priority && isOn !== false && isLowFirst !== true;
  }

  get #keepsByPriority(): boolean {
    const { radix_eviction_policy: policy = "priority" } = this.#flags;
    return this.#servesByPriority && policy === "priority";
  }

  get #closesSessions(): boolean {
    return this.#options.sessions && this.#flags.enable_session_radix_cache !== false;
  }

  #fields(session: string | undefined): Readonly<Record<string, unknown>> {
    const { cacheSalt } = this.#options;
    return {
      ...(this.#closesSessions && session !== undefined && { session_id: session }),
      ...(cacheSalt !== undefined && { cache_salt: cacheSalt }),
    };
  }

  #observe(event: Event): void {
    this.#sessions.observe(event);
    this.#foreground.observe(event);
    if (event.type !== "run-end" || event.session !== undefined || !this.#closesSessions) return;
    const [oldest] = this.#ended;
    if (this.#ended.size >= MAX_ENDED && oldest !== undefined) this.#ended.delete(oldest);
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
    const { ids, isOwn } = await ownModels(this.#http, "sglang", signal);
    const said = serverInfo.safeParse(await this.#serverInfo(signal).catch(() => undefined));
    if (!said.success && !isOwn)
      throw new EngineError("ENGINE_UNSUPPORTED", "sglang", `${this.#http.root} is not SGLang`, {
        hint: "It has no /server_info, and its models are owned by another. Name the engine that runs there.",
      });
    this.#flags = said.data ?? {};
    const { version, page_size: blockTokens } = this.#flags;
    return {
      engine: "sglang",
      models: ids,
      ...(version !== undefined && { version }),
      ...(blockTokens !== undefined && { blockTokens }),
    };
  }

  /** Older servers know it by another name. */
  #serverInfo(signal: AbortSignal | undefined): Promise<unknown> {
    return this.#http.probe("/server_info", signal).catch((error: unknown) => {
      if (error instanceof EngineError && error.status === 404)
        return this.#http.probe("/get_server_info", signal);
      throw error;
    });
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
    priority: "--enable-priority-scheduling, and the adapter's option priority",
    retain:
      "--enable-priority-scheduling --radix-eviction-policy priority, and the adapter's option priority",
    release: "--enable-session-radix-cache, and the adapter's option sessions",
  },
  options,
  create: (chosen): EngineAdapter => new SgLang(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
