import { ActionDeniedError } from "../errors.ts";
import { isObject } from "./shapes.ts";

const CODE = "ACTION_DENIED";
/** Middleware wraps errors, each layer once more. */
const MAX_CAUSES = 8;

/**
 * A denied model call as its client sees it. Thrown from `fetch`, an error would be taken for a lost connection and tried
 * again for minutes; HTTP 403 is final to all clients.
 */
export function deniedResponse(denial: ActionDeniedError): Response {
  const { message, policy, what, reason } = denial;
  const error = { message, type: "cachesage_denied", code: CODE, policy, what, reason };
  return new Response(JSON.stringify({ error }), {
    status: 403,
    headers: { "content-type": "application/json", "x-cachesage-denied": policy },
  });
}

/** The denial inside of what clients and middleware made of it; any other error as it is. */
export function undisguised(error: unknown): unknown {
  let at = error;
  for (let depth = 0; depth < MAX_CAUSES && isObject(at); depth++, at = at["cause"]) {
    if (ActionDeniedError.isInstance(at)) return at;
    const body = at["error"];
    if (at["status"] !== 403 || !isObject(body) || body["code"] !== CODE) continue;
    const { policy, what, reason } = body;
    return new ActionDeniedError(String(policy), String(what), String(reason), error);
  }
  return error;
}

/** The same result; a denial that it ends with is shown as what it is. */
export function undisguise<T>(result: T): T {
  if (!(result instanceof Promise)) return result;
  return result.catch((error: unknown) => {
    throw undisguised(error);
  }) as T;
}
