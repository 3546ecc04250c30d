import { randomUUID } from "node:crypto";
import { z } from "zod";
import { EmbeddedClient } from "../embedded/client.ts";
import type { EmbeddedEngine } from "../embedded/engine.ts";
import type { HintAction, HintEnvelope, HintReply } from "../embedded/hints/envelope.ts";
import { hintsInProcess } from "../embedded/hints/in-process.ts";
import { embeddedOptions } from "../embedded/options.ts";
import { EngineError } from "../errors.ts";
import { type Hint, type Outcome, prefixId, promptOf, type RetainHint } from "../runtime/action.ts";
import type {
  Decoration,
  EngineAdapter,
  EngineDefinition,
  EngineInfo,
  EngineStatus,
  OutgoingCall,
} from "../runtime/engine.ts";
import { combineSignals } from "../wire/combined-signal.ts";
import { BEHIND_ALL_OTHERS, lowerFirst } from "../wire/priority.ts";

const options = embeddedOptions.extend({
  url: z.url().optional().describe("A running embedded engine; without it one starts in this process"),
  apiKey: z.string().min(1).optional().describe("Key for a proxy in front of a running engine"),
});

type Options = z.output<typeof options>;

/** Adapter of the embedded engine. */
export interface EmbeddedAdapter extends EngineAdapter {
  /** The engine that connect() started in this process, if it did. */
  readonly engine: EmbeddedEngine | undefined;
}

const VERBS = {
  retain: "native",
  release: "native",
  prefetch: "native",
  pin: "native",
  evict: "native",
  cancel: "native",
} as const;
const BY_PRIORITY = { ...VERBS, priority: "native" } as const;

class Embedded implements EmbeddedAdapter {
  readonly specificationVersion = "v1";
  readonly name = "embedded";
  /** They wait in the engine until there is room and time for them, the most valuable first. */
  readonly prefetchesAtOnce = 1024;
  /** The engine asks for no key, but clients do. */
  readonly apiKey: string;
  readonly #options: Options;
  readonly #client: EmbeddedClient | undefined;
  #engine: EmbeddedEngine | undefined;
  #servesByPriority: boolean;
  readonly #closing = new AbortController();

  constructor(chosen: Options) {
    this.#options = chosen;
    this.#client = chosen.url === undefined ? undefined : new EmbeddedClient(chosen.url, chosen.apiKey);
    this.apiKey = chosen.apiKey ?? "embedded";
    // A running engine says so itself.
    this.#servesByPriority = chosen.url === undefined && chosen.schedulingPolicy === "priority";
  }

  get supports(): EngineAdapter["supports"] {
    return this.#servesByPriority ? BY_PRIORITY : VERBS;
  }

  get engine(): EmbeddedEngine | undefined {
    return this.#engine;
  }

  get baseURL(): string {
    const baseURL = this.#client?.baseURL ?? this.#engine?.baseURL;
    if (baseURL !== undefined) return baseURL;
    throw new EngineError("ENGINE_UNREACHABLE", "embedded", "the engine has no address yet", {
      hint: "Await connect() first: it starts the engine.",
    });
  }

  async connect(signal?: AbortSignal): Promise<EngineInfo> {
    if (this.#client === undefined) return this.#start(signal);
    const health = await this.#client.health(signal);
    this.#servesByPriority = health.scheduling_policy === "priority";
    return { engine: "embedded", models: [health.model], blockTokens: health.block_tokens };
  }

  decorate(call: OutgoingCall, decisions: readonly Hint[]): Decoration {
    const { agent, run } = call.identity;
    const prefix = prefixId(promptOf(agent, run, call.branch ?? 0));
    const anchor = prefixId({ agent });
    const retained = (id: string): RetainHint | undefined =>
      decisions.findLast(
        (action): action is RetainHint => action.type === "retain" && prefixId(action.prefix) === id,
      );
    const own = retained(prefix);
    const shared = retained(anchor);
    const payload = {
      prefix,
      anchor,
      ...(call.lead !== undefined && { anchor_messages: call.lead }),
      ...(own !== undefined && {
        value: own.value,
        later: own.later,
        tail: own.tail,
        ...(own.ttlMs !== undefined && { ttl_ms: own.ttlMs }),
      }),
      ...(shared !== undefined && { anchor_value: shared.value }),
    };
    const fields = { kv_hints: envelope(prefix, [["kv.retain", payload]]) };
    return { fields: this.#servesByPriority ? { ...fields, ...lowerFirst(call.priority) } : fields };
  }

  async status(signal?: AbortSignal): Promise<EngineStatus> {
    if (this.#client) return this.#client.status(signal);
    if (this.#engine && !this.#closing.signal.aborted) return this.#engine.stats();
    throw new EngineError("ENGINE_UNREACHABLE", "embedded", "the engine does not run", {
      hint: "Await connect() first: it starts the engine.",
    });
  }

  async apply(hints: readonly Hint[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const outcomes = new Map<Hint, Outcome>();
    const send = async (group: readonly Hint[]): Promise<void> => {
      if (group.length === 0) return;
      const answers = await this.#send(group, signal);
      for (const [index, hint] of group.entries())
        outcomes.set(hint, answers[index] ?? { status: "failed", reason: "the engine gave no outcome" });
    };
    const words = hints.filter(({ type }) => type !== "prefetch");
    // What is said about values counts for the prefetches that follow. They end one by one, so each goes alone.
    await send(words);
    await Promise.all(hints.filter(({ type }) => type === "prefetch").map((hint) => send([hint])));
    return hints.map((hint) => outcomes.get(hint) ?? { status: "failed", reason: "not sent" });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#engine?.close();
  }

  async #start(signal?: AbortSignal): Promise<EngineInfo> {
    signal?.throwIfAborted();
    if (this.#engine === undefined) {
      const { url: _url, apiKey: _apiKey, ...engineOptions } = this.#options;
      const { startEmbeddedEngine } = await import("../embedded/engine.ts");
      const engine = await startEmbeddedEngine(engineOptions);
      if (this.#closing.signal.aborted || signal?.aborted) {
        await engine.close();
        signal?.throwIfAborted();
        throw new EngineError("ENGINE_UNREACHABLE", "embedded", "the adapter was closed while it connected");
      }
      this.#engine = engine;
    }
    return { engine: "embedded", models: [this.#engine.model], blockTokens: this.#engine.blockTokens };
  }

  async #send(hints: readonly Hint[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const everywhere = (outcome: Outcome): readonly Outcome[] => hints.map(() => outcome);
    const closed: Outcome = { status: "cancelled", reason: "the adapter is closed" };
    if (this.#closing.signal.aborted) return everywhere(closed);
    const message = envelope(
      randomUUID(),
      hints.map((hint) => toAction(hint)),
    );
    const combined = combineSignals(signal, this.#closing.signal);
    try {
      const reply = await this.#deliver(message, combined.signal);
      return reply.outcomes.map(({ status, reason, tokens }) => ({
        status,
        ...(reason !== undefined && { reason }),
        ...(tokens !== undefined && { tokens }),
      }));
    } catch (error) {
      if (this.#closing.signal.aborted) return everywhere(closed);
      if (signal?.aborted) return everywhere({ status: "cancelled", reason: "withdrawn by the caller" });
      return everywhere({ status: "failed", reason: error instanceof Error ? error.message : String(error) });
    } finally {
      combined.release();
    }
  }

  #deliver(message: HintEnvelope, signal?: AbortSignal): Promise<HintReply> {
    const take = hintsInProcess.get(this.baseURL);
    if (take !== undefined) return take(message, signal);
    if (this.#client !== undefined) return this.#client.hints(message, signal);
    return Promise.reject(new Error("the engine is not connected"));
  }
}

function toAction(hint: Hint): readonly [string, unknown] {
  const prefix = prefixId(hint.prefix);
  switch (hint.type) {
    case "retain": {
      const { value, later, tail, ttlMs } = hint;
      return ["kv.retain", { prefix, value, later, tail, ttl_ms: ttlMs }];
    }
    case "prefetch": {
      const anchor = prefixId({ agent: hint.prefix.agent });
      return ["kv.prefetch", { prefix, anchor, value: hint.value, later: hint.later, body: hint.body }];
    }
    case "pin":
      return ["kv.pin", { prefix, ttl_ms: hint.ttlMs }];
    default:
      return [`kv.${hint.type}`, { prefix }];
  }
}

function envelope(messageId: string, actions: readonly (readonly [string, unknown])[]): HintEnvelope {
  return {
    protocol_version: "1",
    message_id: messageId,
    actions: actions.map(([type, payload], index): HintAction => ({
      action_id: String(index),
      action_type: type,
      action_version: "1",
      payload,
    })),
  };
}

export default {
  name: "embedded",
  description: "llama.cpp in this process, or a running `cachesage serve`; carries out every hint itself",
  seen: "itself, in every test",
  remedies: { priority: "--scheduling-policy priority" },
  priorityFields: { priority: BEHIND_ALL_OTHERS },
  options,
  create: (chosen): EmbeddedAdapter => new Embedded(chosen),
} satisfies EngineDefinition<typeof options>;
