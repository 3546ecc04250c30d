import { ambientConfig } from "./config.ts";
import { undisguise } from "./denied-response.ts";
import type { Observer } from "./observer.ts";
import { guard } from "./safe-host.ts";
import { settleIn } from "./settle.ts";
import { holdConfig } from "./span.ts";
import { isObject, type ConfigLike } from "./shapes.ts";
import { createGatedTool } from "./tool-gate.ts";

/** What langchain's createMiddleware brands its results with; by symbol, so that langchain need not be installed. */
const MIDDLEWARE = Symbol.for("AgentMiddleware");

/**
 * Middleware as createAgent takes it, said without langchain's own type: that package need not be installed for this
 * one's types to hold.
 */
export interface ModelCallMiddleware {
  readonly name: string;
  /** Where langchain reads what a middleware adds to an agent's types: nothing. Never set. */
  readonly "~middlewareTypes"?: {
    readonly Schema: undefined;
    readonly ContextSchema: undefined;
    readonly FullContext: unknown;
    readonly Tools: readonly [];
    readonly StreamTransformers: readonly [];
  };
  wrapModelCall<Request, Answer>(request: Request, handler: (request: Request) => Answer): Answer;
  /** There only when a policy rates tool calls. */
  wrapToolCall?<Request, Answer>(request: Request, handler: (request: Request) => Answer): Answer;
}

/**
 * Middleware for createAgent. It wraps model calls only: any other hook would add nodes to the user's graph. Where
 * no handler sees the graph, each model call counts as an activation, and the end of the run stays unknown.
 */
export function createMiddleware(observer: Observer): () => ModelCallMiddleware {
  const { host, tracker, unattended } = observer;
  const wrapModelCall: ModelCallMiddleware["wrapModelCall"] = (request, handler) => {
    const entered = guard(host, "middleware", () => unattended.enter(configAround(request)));
    if (!entered) return handler(request);
    const { span, isOurs } = entered;
    guard(host, "middleware", () => holdConfig(host, span, ambientConfig()));
    const call = () => (host.gate ? undisguise(handler(request), span) : handler(request));
    return settleIn(tracker.scopes, { span }, call, (status) => {
      if (isOurs) span.end(status);
    });
  };
  const gated = createGatedTool(observer);
  const wrapToolCall: ModelCallMiddleware["wrapModelCall"] = (request, handler) =>
    handler(isObject(request) ? { ...request, tool: gated(request["tool"]) } : request);
  const middleware = {
    [MIDDLEWARE]: true,
    name: "cachesage",
    wrapModelCall,
    ...(host.gate?.handles("tool-call") && { wrapToolCall }),
  };
  return () => ({ ...middleware });
}

/** LangChain's ambient config has the agent's name and callbacks; the request itself has the configurable part only. */
function configAround(request: unknown): ConfigLike | undefined {
  const runtime = isObject(request) && isObject(request["runtime"]) ? request["runtime"] : {};
  const { configurable } = runtime;
  return ambientConfig() ?? (isObject(configurable) ? { configurable } : undefined);
}
