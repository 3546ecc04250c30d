import { z } from "zod";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { offeredModels } from "../wire/offered-models.ts";
import { kvEventOptions } from "../wire/kv-event-options.ts";
import { kvEventStreams } from "../wire/kv-event-streams.ts";
import { inHeader, sessionHeader, Sessions } from "../wire/sessions.ts";
import { prefetchesAtOnce, WarmUp } from "../wire/warm-up.ts";

const headerValue = z.string().regex(/^[\x21-\x7e]+$/, "expected visible ASCII without spaces");
const options = z.strictObject({
  url: z.url().default("http://127.0.0.1:8080/v1").describe("Base URL of the gateway"),
  apiKey: z.string().min(1).optional().describe("Key, when the gateway wants one"),
  objective: headerValue.optional().describe("Name of the InferenceObjective of the app's requests"),
  prefetchObjective: headerValue
    .optional()
    .describe(
      "Name of the InferenceObjective of prefetches, one of lower priority; without one none are sent",
    ),
  fairness: headerValue.optional().describe("Tenant that requests count for; default: the session"),
  prefetchesAtOnce,
  events: kvEventOptions,
});

/** Sessions whose token is kept; the one unused longest goes first. */
const MAX_TOKENS = 10_000;

/**
 * llm-d's router, as a gateway before vLLM pods. Its router has not yet been seen; its simulator of a pod
 * (llm-d-inference-sim 0.10.2) has.
 *
 * - Stickiness comes from plugins of its scheduler: by `x-session-id`, or by a token that it sends in `x-session-token` and
 *   wants back. Both are sent; where no plugin reads them they are ignored.
 * - There is no word for what to keep, and none for prefetch. A prefetch is a request for one token and competes with the
 *   app's own, so it is only there with an objective of lower priority to send it under.
 * - KV events of pods dial in: a stream with `bind` listens.
 */
class LlmD {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #warmUp: WarmUp;
  readonly #sessions = new Sessions();
  readonly #tokens = new Map<string, string>();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "llm-d", url: chosen.url, apiKey: chosen.apiKey });
    this.#warmUp = new WarmUp(this.#http, {
      decorate: (prefix) => ({ headers: this.#headers(this.#sessions.of(prefix), chosen.prefetchObjective) }),
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, objective, prefetchObjective, events } = this.#options;
    return createHttpAdapter({
      name: "llm-d",
      http: this.#http,
      apiKey: apiKey ?? "none",
      prefetchesAtOnce: this.#options.prefetchesAtOnce,
      probe: (signal) => this.#probe(signal),
      supports: () => (prefetchObjective === undefined ? {} : { prefetch: "emulated", cancel: "emulated" }),
      decorate: ({ identity: { session, run } }) => ({ headers: this.#headers(session ?? run, objective) }),
      observe: (event) => this.#sessions.observe(event),
      answered: ({ identity: { session, run } }, headers) => this.#remember(session ?? run, headers),
      ...kvEventStreams(events),
      verbs: {
        prefetch: (hint, signal) => this.#warmUp.send(hint, signal),
      },
    });
  }

  #headers(session: string | undefined, objective: string | undefined): Readonly<Record<string, string>> {
    const token = session === undefined ? undefined : this.#tokens.get(session);
    const fairness = this.#options.fairness ?? (session === undefined ? undefined : inHeader(session));
    return {
      ...sessionHeader(session),
      ...(token !== undefined && { "x-session-token": token }),
      ...(objective !== undefined && { "x-llm-d-inference-objective": objective }),
      ...(fairness !== undefined && { "x-llm-d-inference-fairness-id": fairness }),
    };
  }

  #remember(session: string, headers: Headers): void {
    const token = headers.get("x-session-token");
    if (token === null) return;
    this.#tokens.delete(session);
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= MAX_TOKENS && oldest !== undefined) this.#tokens.delete(oldest);
    this.#tokens.set(session, token);
  }

  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    const models = await offeredModels(this.#http, signal);
    return { engine: "llm-d", models };
  }
}

export default {
  name: "llm-d",
  description:
    "llm-d's router: session stickiness, objectives and fairness; prefetch under an objective of its own",
  seen: "llm-d-inference-sim 0.10.2, without the router",
  remedies: {
    prefetch: "an InferenceObjective of lower priority, as the adapter's option prefetchObjective",
  },
  options,
  create: (chosen): EngineAdapter => new LlmD(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
