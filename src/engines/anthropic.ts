import { z } from "zod";
import type { Hint, Outcome } from "../runtime/action.ts";
import { prefixId } from "../runtime/action.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import type { AgentId } from "../runtime/event.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { offeredModels } from "../wire/offered-models.ts";
import { ReturnGaps } from "../wire/return-gaps.ts";

const options = z.strictObject({
  url: z.url().default("https://api.anthropic.com").describe("Base URL of the API"),
  apiKey: z
    .string()
    .min(1)
    .optional()
    .describe("Key; the client's own works for requests, prefetches need it here"),
  prefetch: z
    .boolean()
    .default(false)
    .describe("Prefetch by requests that generate nothing (max_tokens 0); cache writes are billed"),
});

const usage = z.object({
  usage: z.object({
    cache_creation_input_tokens: z.number().nullish(),
    input_tokens: z.number().nullish(),
  }),
});

type Body = Readonly<Record<string, unknown>>;
type Lifetime = "5m" | "1h";

const FIVE_MINUTES_MS = 300_000;
const HOUR_MS = 3_600_000;

/**
 * Anthropic's API, for ChatAnthropic with `clientOptions: { fetch: sage.fetch }`. Not yet seen on the real server: written to
 * the types of its SDK (@anthropic-ai/sdk 1.13).
 *
 * - Nothing is cached without a mark: one goes to the end of the anchor (tools and system), one to the request's end. A
 *   request has at most four, and one with marks of the user's own is left alone.
 * - An entry lives five minutes, or an hour for a higher price: an hour is chosen for an anchor that lies unused for more
 *   than five minutes on average, and for less than an hour.
 * - `max_tokens: 0` fills the cache without an answer. Newer models refuse a prompt that ends with one, so a prefetch ends before.
 * - There is no word to let go.
 */
class Anthropic {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;
  readonly #gaps = new ReturnGaps();

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({
      engine: "anthropic",
      url: chosen.url,
      apiKey: chosen.apiKey,
      keyHeader: "x-api-key",
      headers: { "anthropic-version": "2023-06-01" },
    });
  }

  adapter(): EngineAdapter {
    const { apiKey, prefetch } = this.#options;
    return createHttpAdapter({
      name: "anthropic",
      http: this.#http,
      apiKey,
      probe: (signal) => this.#probe(signal),
      supports: () => ({
        retain: "native",
        ...(prefetch && apiKey !== undefined && ({ prefetch: "native", cancel: "emulated" } as const)),
      }),
      decorate: ({ url, identity: { agent } }, decisions) => {
        if (!new URL(url).pathname.endsWith("/messages")) return {};
        const ttl = this.#lifetime(agent, decisions);
        return { edit: (body) => mark(body, ttl) };
      },
      observe: (event) => this.#gaps.observe(event),
      verbs: {
        prefetch: (hint, signal) => this.#prefetch(hint, signal),
      },
    });
  }

  #lifetime(agent: AgentId, decisions: readonly Hint[]): Lifetime {
    const anchor = decisions.findLast(
      (action) => action.type === "retain" && prefixId(action.prefix) === prefixId({ agent }),
    );
    const said = anchor?.type === "retain" ? anchor.ttlMs : undefined;
    const neededMs = said ?? this.#gaps.of(agent) ?? 0;
    return neededMs > FIVE_MINUTES_MS && neededMs < HOUR_MS ? "1h" : "5m";
  }

  async #prefetch(hint: Hint, signal: AbortSignal | undefined): Promise<Outcome> {
    const prompt = hint.type === "prefetch" ? (hint.body as Body | undefined) : undefined;
    const messages = list(prompt?.["messages"]);
    // A prompt that ends with an answer is one to be continued, which newer models refuse.
    const end = messages.findLastIndex(({ role }) => role !== "assistant") + 1;
    if (end === 0)
      return { status: "ignored", reason: "a prompt without a message of the user's cannot be sent" };
    const whole = { ...prompt, messages: messages.slice(0, end) };
    const marked = mark(whole, this.#lifetime(hint.prefix.agent, [])) ?? whole;
    const body = { ...marked, max_tokens: 0 };
    const answer = usage.parse(await this.#http.json("/v1/messages", { body, signal }));
    return { status: "applied", tokens: answer.usage.cache_creation_input_tokens ?? 0 };
  }

  /** Without a key of its own it can ask nothing, and takes the API at its word. */
  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    if (this.#options.apiKey === undefined) return { engine: "anthropic", models: [] };
    const models = await offeredModels(this.#http, signal);
    return { engine: "anthropic", models };
  }
}

/** Marks the end of system, else of tools, and the request's end; undefined when the user has set marks. */
function mark(body: Body, ttl: Lifetime): Body | undefined {
  if (JSON.stringify(body).includes('"cache_control"')) return undefined;
  const { system } = body;
  const blocks =
    typeof system === "string" && system !== "" ? [{ type: "text", text: system }] : list(system);
  const tools = list(body["tools"]);
  const markLast = (items: readonly Body[]): readonly Body[] => [
    ...items.slice(0, -1),
    { ...items.at(-1), cache_control: { type: "ephemeral", ttl } },
  ];
  return {
    ...body,
    ...(blocks.length > 0 && { system: markLast(blocks) }),
    ...(blocks.length === 0 && tools.length > 0 && { tools: markLast(tools) }),
    cache_control: { type: "ephemeral" },
  };
}

function list(value: unknown): readonly Body[] {
  return Array.isArray(value) ? (value as readonly Body[]) : [];
}

export default {
  name: "anthropic",
  description:
    "Anthropic's API: cache marks with a lifetime that fits, prefetch without an answer if you pay for it",
  isBilled: true,
  keyVariable: "ANTHROPIC_API_KEY",
  remedies: { prefetch: "the adapter's options apiKey and prefetch; it is billed" },
  options,
  create: (chosen): EngineAdapter => new Anthropic(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
