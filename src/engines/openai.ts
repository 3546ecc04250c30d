import { createHash } from "node:crypto";
import { z } from "zod";
import { type Hint, type PrefixRef, prefixId } from "../runtime/action.ts";
import type { EngineAdapter, EngineDefinition, EngineInfo } from "../runtime/engine.ts";
import type { AgentId } from "../runtime/event.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { createHttpAdapter } from "../wire/http-adapter.ts";
import { offeredModels } from "../wire/offered-models.ts";
import { WarmUp } from "../wire/warm-up.ts";

const options = z.strictObject({
  url: z.url().default("https://api.openai.com/v1").describe("Base URL of the API"),
  apiKey: z
    .string()
    .min(1)
    .optional()
    .describe("Key; the client's own works for requests, prefetches need it here"),
  breakpoints: z
    .boolean()
    .default(false)
    .describe(
      "Mark the end of each agent's system message as a cache breakpoint; gpt-5.6 and later, refused by others",
    ),
  mode: z
    .enum(["implicit", "explicit"])
    .default("implicit")
    .describe(
      "With breakpoints: implicit also writes each prompt's end to the cache, explicit the anchors alone; writes are billed",
    ),
  prefetch: z
    .boolean()
    .default(false)
    .describe("Prefetch by requests for one token, which are billed like any other"),
});

type Body = Readonly<Record<string, unknown>>;

/** The least time that a breakpoint is kept: the only one there is. */
const LIFETIME = "30m";

/**
 * OpenAI's API. Not yet seen on the real server: written to the types of its SDK (openai 6.49).
 *
 * - `prompt_cache_key` sends equal prefixes to the same machine; one key should not take more than about 15 requests a minute,
 *   so it is one for each agent and anchor.
 * - Prompts below 1,024 tokens are never cached, longer ones in steps of 128, but for breakpoints, which are exact.
 * - What is cached stays for a time that nothing sent here shortens or lengthens: retain and release are absent.
 * - Not for servers that only speak the same protocol: those with a file of their own in this folder take more.
 */
class OpenAi {
  readonly #options: z.output<typeof options>;
  readonly #http: EngineHttp;

  constructor(chosen: z.output<typeof options>) {
    this.#options = chosen;
    this.#http = new EngineHttp({ engine: "openai", url: chosen.url, apiKey: chosen.apiKey });
  }

  adapter(): EngineAdapter {
    const { apiKey, breakpoints, mode, prefetch } = this.#options;
    const warmUp = new WarmUp(this.#http, {
      stop: { max_completion_tokens: 16 },
      decorate: (prefix) => ({ fields: { prompt_cache_key: cacheKey(prefix) } }),
    });
    return createHttpAdapter({
      name: "openai",
      http: this.#http,
      apiKey,
      prefetchesAtOnce: 2,
      probe: (signal) => this.#probe(signal),
      supports: () => (prefetch && apiKey !== undefined ? { prefetch: "emulated", cancel: "emulated" } : {}),
      decorate: ({ identity: { agent } }, decisions) => ({
        fields: { prompt_cache_key: cacheKey(anchorOf(agent, decisions)) },
        ...(breakpoints && { edit: (body) => markAnchor(body, mode) }),
      }),
      verbs: {
        prefetch: (hint, signal) => warmUp.send(hint, signal),
      },
    });
  }

  /** Without a key of its own it can ask nothing, and takes the API at its word. */
  async #probe(signal: AbortSignal | undefined): Promise<EngineInfo> {
    if (this.#options.apiKey === undefined) return { engine: "openai", models: [] };
    const models = await offeredModels(this.#http, signal);
    return { engine: "openai", models };
  }
}

/** The agent's anchor, which one it is where a policy says so. */
function anchorOf(agent: AgentId, decisions: readonly Hint[]): PrefixRef {
  return decisions.find(({ prefix }) => prefixId(prefix) === prefixId({ agent }))?.prefix ?? { agent };
}

/** At most 64 characters; tells nothing of an agent's name to who reads it. */
function cacheKey({ agent, anchor }: PrefixRef): string {
  return `cachesage-${createHash("sha256")
    .update(`${agent}\n${anchor ?? ""}`)
    .digest("hex")
    .slice(0, 24)}`;
}

/** Where Chat Completions and Responses have the messages, and what they call a part that is text. */
const MESSAGES = [
  ["messages", "text"],
  ["input", "input_text"],
] as const;

/** Marks the end of the leading system messages, unless the user has set marks of their own. Without a mark `explicit` caches nothing. */
function markAnchor(body: Body, mode: "implicit" | "explicit"): Body | undefined {
  const [name, type] = MESSAGES.find(([one]) => Array.isArray(body[one])) ?? [];
  if (name === undefined) return undefined;
  const messages = list(body[name]);
  if (JSON.stringify(messages).includes('"prompt_cache_breakpoint"')) return undefined;
  const head = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const last = messages[head - 1];
  if (!last) return undefined;
  const { content } = last;
  const parts: readonly Body[] = typeof content === "string" ? [{ type, text: content }] : list(content);
  if (parts.length === 0) return undefined;
  const marked = [...parts.slice(0, -1), { ...parts.at(-1), prompt_cache_breakpoint: { mode: "explicit" } }];
  return {
    ...body,
    prompt_cache_options: body["prompt_cache_options"] ?? { mode, ttl: LIFETIME },
    [name]: messages.with(head - 1, { ...last, content: marked }),
  };
}

function list(value: unknown): readonly Body[] {
  return Array.isArray(value) ? (value as readonly Body[]) : [];
}

export default {
  name: "openai",
  description: "OpenAI's API: cache keys for each agent, cache breakpoints, prefetch if you pay for it",
  isBilled: true,
  remedies: { prefetch: "the adapter's options apiKey and prefetch; it is billed" },
  options,
  create: (chosen): EngineAdapter => new OpenAi(chosen).adapter(),
} satisfies EngineDefinition<typeof options>;
