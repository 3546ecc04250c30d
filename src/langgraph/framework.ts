import type { Advice, Hint, Outcome, SpeculateHint } from "../runtime/action.ts";
import { type Announce, createAnnounce } from "./announce.ts";
import { withHandler } from "./callbacks.ts";
import type { AgentId } from "../runtime/event.ts";
import { EngineFetch } from "./fetch.ts";
import type { CacheSageHandler } from "./handler.ts";
import type { Host } from "./host.ts";
import { createInstrument } from "./instrument.ts";
import { createMiddleware, type ModelCallMiddleware } from "./middleware.ts";
import { createObserver } from "./observer.ts";
import { bodyShape } from "./prompt.ts";
import type { Fetch } from "./routed-send.ts";
import { isObject } from "./shapes.ts";
import { guard } from "./safe-host.ts";
import { createGatedTool, type GatedTool } from "./tool-gate.ts";
import { createWrapNode, type WrapNode } from "./wrap-node.ts";

/** Fields of ChatOpenAI that `model` reads and merges with its own. */
export interface ModelFields {
  readonly callbacks?: unknown;
  readonly apiKey?: unknown;
  readonly openAIApiKey?: unknown;
  readonly configuration?: { readonly fetch?: unknown; readonly apiKey?: unknown } | undefined;
}

/** Fields that `model` sets. */
export interface ObservedModelFields {
  callbacks: CacheSageHandler[];
  configuration: { baseURL: string; fetch: Fetch };
  apiKey?: string;
}

/** What cachesage offers to an application, bound to one engine. */
export interface Framework {
  /** The callback handler. */
  readonly handler: CacheSageHandler;
  /** A `fetch` that adds hints to model requests that go to the engine, and to nothing else. */
  readonly fetch: Fetch;
  /** Fields to spread into ChatOpenAI. The user's callbacks, configuration and fetch in `fields` are kept. */
  readonly model: <F extends object = Record<never, never>>(fields?: F) => F & ObservedModelFields;
  /** Observes a compiled graph, its subgraphs, or the graph inside createAgent, in place; anything else is let be. */
  readonly instrument: <T>(graph: T) => T;
  /**
   * Observes one node function, or names a Runnable. In runs that no handler sees, the run's start is told, and its end late: when
   * its thread's next run begins, or when its objects are collected as garbage.
   */
  readonly wrapNode: WrapNode;
  /** Middleware for langchain's createAgent. */
  readonly middleware: () => ModelCallMiddleware;
  /**
   * A tool, or a function that is one, whose calls ask policies first; typed as it was. Tools of a ToolNode in an
   * instrumented graph, and of a createAgent with the middleware, need no wrapping.
   */
  readonly tool: GatedTool;
  /**
   * Makes known what an agent's prompts begin with, so that they can be prefetched before its first call.
   *
   * @param call makes a model call as the agent does, with its system message and tools. It is looked at and not sent: it ends
   * with HTTP 403, which is expected.
   * @throws InvalidOptionsError when it makes no call to the engine.
   */
  readonly introduce: (agent: AgentId, call: () => unknown) => Promise<void>;
  /** Says who runs after the node at work, as soon as the app knows. Never throws. */
  readonly announce: Announce;
  /**
   * Starts the nodes that are to run early; returns the advice that is for the engine. Never throws.
   *
   * @param settle told once what became of each early run.
   */
  readonly speculate: (
    advice: readonly Advice[],
    settle: (hint: SpeculateHint, outcome: Outcome) => void,
  ) => readonly Hint[];
}

/** Makes the framework side. Nothing in it ever throws into the application or waits for the host. */
export function createFramework(given: Host): Framework {
  const observer = createObserver(given);
  const { host, handler, introductions } = observer;
  const engine = new EngineFetch(observer);

  const model = <F extends object = Record<never, never>>(fields?: F): F & ObservedModelFields => {
    const { callbacks, apiKey, openAIApiKey, configuration } = (fields ?? {}) as ModelFields;
    const base = typeof configuration?.fetch === "function" ? (configuration.fetch as Fetch) : undefined;
    const hasKey = [apiKey, openAIApiKey, configuration?.apiKey].some((key) => key !== undefined);
    return {
      ...fields,
      ...(host.apiKey !== undefined && !hasKey && { apiKey: host.apiKey }),
      callbacks: withHandler(callbacks, handler),
      configuration: { ...configuration, baseURL: host.baseURL, fetch: engine.around(base) },
    } as F & ObservedModelFields;
  };
  return {
    handler,
    fetch: engine.around(),
    model,
    instrument: createInstrument(observer),
    wrapNode: createWrapNode(observer),
    middleware: createMiddleware(observer),
    tool: createGatedTool(observer),
    async introduce(agent, call) {
      const body = await introductions.bodyOf(agent, call);
      const parsed: unknown = JSON.parse(body);
      const { anchor } = bodyShape(isObject(parsed) ? parsed : {});
      if (host.cacheHints) host.introduction?.(agent, body);
      host.emit({ type: "anchor", at: host.clock.now(), agent, anchor });
    },
    announce: createAnnounce(observer),
    speculate(advice, settle) {
      if (!host.speculates) return advice as readonly Hint[];
      return advice.filter((one): one is Hint => {
        if (one.type !== "speculate") return true;
        guard(host, "speculate", () => observer.speculator?.start(one, (outcome) => settle(one, outcome)));
        return false;
      });
    },
  };
}
