import { z } from "zod";
import { EngineError } from "../errors.ts";
import type { PrefixRef } from "../runtime/action.ts";
import type { Decoration, EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { Foreground, idleBelow } from "../wire/foreground.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { offeredModels } from "../wire/offered-models.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { kvEventStreams } from "../wire/kv-event-streams.ts";
import { load, metricStatus } from "../wire/metric-status.ts";
import { OutputLengths } from "../wire/output-lengths.ts";
import { BEHIND_ALL_OTHERS, steps } from "../wire/priority.ts";
import { ServedTotals } from "../wire/served-totals.ts";
import { inHeader, Sessions } from "../wire/sessions.ts";
import { prefetchesAtOnce, WarmUp } from "../wire/warm-up.ts";

const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:8000/v1").describe("Base URL of the frontend"),
  apiKey: z.string().min(1).optional().describe("Key for a gateway before the frontend"),
  sessionAffinity: z
    .boolean()
    .default(true)
    .describe("Bind each session to one worker, where the router has --router-session-affinity-ttl-secs"),
  speculativePrefill: z
    .boolean()
    .default(false)
    .describe(
      "Have the frontend prefill each answer for the same agent's next turn; for agents that call themselves",
    ),
  strictPriority: z
    .boolean()
    .default(false)
    .describe(
      "Put the app's requests into a tier of the router's queue before that of prefetches, and of all who name none",
    ),
  priority: z
    .boolean()
    .default(false)
    .describe("Calls carry their priorities; only with workers that were started with priority scheduling"),
  cacheSalt: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Keeps this app's cache apart from others' on the same workers, while hints are on and the server refuses none of them",
    ),
  prefetchesAtOnce,
  idleBelow,
  events: kvEventOptions,
});

const health = z.object({ status: z.string(), instances: z.array(z.unknown()) });

const totalNames = {
  requests: ["dynamo_frontend_requests_total"],
  promptTokens: ["dynamo_frontend_input_sequence_tokens_sum"],
  cachedTokens: ["dynamo_frontend_cached_tokens_sum"],
};

/** The router's queue takes a negative priority for 0; its tiers, of which requests have 0 unless they name one, it keeps apart. */
const TIER_OF_APP = 1;

/**
 * NVIDIA Dynamo's frontend (seen: 1.6.1 with the KV router and two mocker workers). Its router sends a request to where
 * most of its prompt is cached; hints travel in `nvext`.
 *
 * - It is strict: a field that it does not know, at the top or inside `nvext`, is a 400.
 * - `priority` (higher is more important since 1.1, and requests without one have 0) and `strict_priority` count in a router queue that is
 *   off by default (`--router-queue-threshold`), the former also at engines that were started with priority scheduling. The queue takes a
 *   negative priority for 0, so that only a tier of their own (`strictPriority`) lets the app's requests go before prefetches there.
 * - `osl` counts with `--router-track-output-blocks`; it is learned from each agent's answers.
 * - Session affinity needs `--router-session-affinity-ttl-secs`, else its header is ignored. It is worth it: without it the
 *   router may send a prefetch to one worker and the request to another (a team of six on two workers: 66 to 68 % cached
 *   with hints, 76 with affinity as well, 64 to 66 without any).
 * - `x-dynamo-parent-session-id` and `x-dynamo-session-final` are read, handed on to workers and written to traces, and change
 *   nothing about where a session goes: a child is not placed with its parent, and a final call lets go of no binding. A graph
 *   inside a graph is one run here, so there is no parent to name; and ThunderAgent's router answers a final call itself, without
 *   the engine, so that header must never be on a call of the app. Neither is sent.
 * - There is no word for what to keep or let go: retain and release are absent.
 */
class Dynamo {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #sessions = new Sessions();
  readonly #lengths = new OutputLengths();
  readonly #warmUp: WarmUp;
  readonly #foreground = new Foreground();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "dynamo", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      after: { foreground: this.#foreground, idleBelow: chosen.idleBelow },
      decorate: (prefix) => this.#decoration(prefix, { priority: -BEHIND_ALL_OTHERS, osl: 1 }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, speculativePrefill, strictPriority, events, priority } = this.#options;
    const served = new ServedTotals(totalNames, this.#warmUp.totals);
    return createHttpAdapter({
      name: "dynamo",
      http: this.#http,
      apiKey: apiKey ?? "none",
      prefetchesAtOnce: this.#options.prefetchesAtOnce,
      probe: (signal) => this.#probe(signal),
      served,
      status: metricStatus(this.#http, served, (sums) =>
        load(sums, { waiting: "dynamo_frontend_router_queue_pending_requests" }),
      ),
      supports: () => ({ prefetch: "emulated", cancel: "emulated", ...(priority && { priority: "native" }) }),
      decorate: ({ identity: { agent, run, session }, priority: own }) => {
        const osl = this.#lengths.of(agent);
        return this.#decoration(
          { run: session ?? run },
          {
            ...(osl !== undefined && { osl }),
            ...(priority && own !== undefined && { priority: steps(own) }),
            ...(speculativePrefill && { speculative_prefill: true }),
            ...(strictPriority && { strict_priority: TIER_OF_APP }),
          },
        );
      },
      observe: (event) => {
        this.#sessions.observe(event);
        this.#lengths.observe(event);
        this.#foreground.observe(event);
      },
      ...kvEventStreams(events),
      verbs: {
        prefetch: (hint, signal) => this.#warmUp.send(hint, signal),
      },
    });
  }

  #decoration(prefix: Pick<PrefixRef, "run">, hints: Readonly<Record<string, number | boolean>>): Decoration {
    const { cacheSalt, sessionAffinity } = this.#options;
    const session = sessionAffinity ? this.#sessions.of(prefix) : undefined;
    const nvext = {
      ...(Object.keys(hints).length > 0 && { agent_hints: hints }),
      ...(cacheSalt !== undefined && { cache_salt: cacheSalt }),
    };
    return {
      ...(Object.keys(nvext).length > 0 && { fields: { nvext } }),
      ...(session !== undefined && { headers: { "x-dynamo-session-id": inHeader(session) } }),
    };
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const said = health.safeParse(await this.#http.probe("/health", signal));
    if (!said.success)
      throw new EngineError("ENGINE_UNSUPPORTED", "dynamo", `${this.#http.root} is not Dynamo's frontend`, {
        hint: "Its /health lists instances. Name the engine that runs there.",
      });
    const models = await offeredModels(this.#http, signal);
    return { engine: "dynamo", models };
  }
}

export default {
  name: "dynamo",
  description: "NVIDIA Dynamo: agent hints, session affinity, prefetch by requests for one token",
  seen: "ai-dynamo 1.6.1, frontend and mockers",
  remedies: {
    priority:
      "priority scheduling at the workers, such as vLLM's --scheduling-policy priority, and the adapter's option priority",
    "cached tokens": "the engine's own flag, such as --enable-prompt-tokens-details for vLLM workers",
    events: "--zmq-kv-events-ports at the workers, and their addresses as the adapter's option events",
  },
  options,
  create: (chosen): EngineAdapter => new Dynamo(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
