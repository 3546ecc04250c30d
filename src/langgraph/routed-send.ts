import type { OutgoingCall, Route } from "../runtime/engine.ts";
import type { Host } from "./host.ts";
import { guard } from "./safe-host.ts";
import { isObject } from "./shapes.ts";
import { statusOf } from "./status.ts";

/** The signature of `fetch` as OpenAI-compatible clients call it. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Answers of a gateway whose server is gone. */
const GONE: ReadonlySet<number> = new Set([502, 503, 504]);

/**
 * Sends a call to the server that the adapter chose for it. When that one cannot be reached, the call goes to another one,
 * once; only its body is text, so it can be sent again.
 */
export function routedSend(host: Host, call: OutgoingCall, send: Fetch): Fetch {
  // A policy may have sent it elsewhere already.
  const first = call.url.startsWith(host.baseURL) ? routeOf(host, call) : undefined;
  if (!first) return send;
  return async (input, init) => {
    const url = String(input);
    const at = (baseURL: string): string => baseURL + url.slice(host.baseURL.length);
    try {
      const response = await send(at(first.baseURL), init);
      first.settled(!GONE.has(response.status));
      return response;
    } catch (error) {
      if (statusOf(error) !== "failed") throw error;
      first.settled(false);
      const second = routeOf(host, call);
      if (!second || second.baseURL === first.baseURL) throw error;
      return send(at(second.baseURL), init);
    }
  };
}

/** The adapter's choice, contained; undefined when it makes no sense. */
function routeOf(host: Host, call: OutgoingCall): Route | undefined {
  return guard(host, "route", () => {
    const route: unknown = host.route?.(call);
    if (!isObject(route)) return undefined;
    const { baseURL, settled } = route;
    if (typeof baseURL !== "string" || !URL.canParse(baseURL)) return undefined;
    if (typeof settled !== "function") return undefined;
    return {
      baseURL,
      settled: (isAnswered) => guard(host, "route", () => void settled.call(route, isAnswered)),
    };
  });
}
