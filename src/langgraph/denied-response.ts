import { ActionDeniedError } from "../errors.ts";
import { isObject } from "./shapes.ts";
import { nodeOf, type NodeSpan, type Span } from "./span.ts";

const DENIED = "ACTION_DENIED";
const INTERRUPTED = "ACTION_INTERRUPTED";
/** Middleware wraps errors, each layer once more. */
const MAX_CAUSES = 8;

/**
 * A denied model call as its client sees it. Thrown from `fetch`, an error would be taken for a lost connection and tried
 * again for minutes; HTTP 403 is final to all clients.
 */
export function deniedResponse(denial: ActionDeniedError): Response {
  const { message, policy, what, reason } = denial;
  return refusal({ message, type: "cachesage_denied", code: DENIED, policy, what, reason }, policy);
}

/**
 * A model call that waits for a human as its client sees it, for the same reason; what LangGraph is to be thrown is kept with
 * the node, at whose border it comes out again.
 */
export function interruptedResponse(node: NodeSpan, interrupt: unknown, policy: string): Response {
  node.node.interrupt = interrupt;
  const message = "a human is asked about this model call: the graph is interrupted, and can be resumed";
  return refusal({ message, type: "cachesage_interrupted", code: INTERRUPTED, policy }, policy);
}

function refusal(error: object, policy: string): Response {
  return new Response(JSON.stringify({ error }), {
    status: 403,
    headers: { "content-type": "application/json", "x-cachesage-denied": policy },
  });
}

/** The denial or interrupt inside of what clients and middleware made of it; any other error as it is. */
function undisguised(error: unknown, span: Span | undefined): unknown {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES && isObject(at); depth++, at = at["cause"]) {
    if (ActionDeniedError.isInstance(at)) return at;
    const body = at["error"];
    if (at["status"] !== 403 || !isObject(body)) continue;
    if (body["code"] === INTERRUPTED) return takeInterrupt(nodeOf(span)) ?? error;
    if (body["code"] !== DENIED) continue;
    const { policy, what, reason } = body;
    return new ActionDeniedError(String(policy), String(what), String(reason), error);
  }
  return error;
}

function takeInterrupt(span: NodeSpan | undefined): unknown {
  const interrupt = span?.node.interrupt;
  if (span) span.node.interrupt = undefined;
  return interrupt;
}

/** The same result; a denial or an interrupt that it ends with is shown as what it is. */
export function undisguise<T>(result: T, span: Span | undefined): T {
  if (!(result instanceof Promise)) return result;
  return result.catch((error: unknown) => {
    throw undisguised(error, span);
  }) as T;
}
