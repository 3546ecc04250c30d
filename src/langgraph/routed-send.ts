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
 * Sends a call to the server that a policy, or else the adapter, chose for it. When that one cannot be reached, the call goes
 * to another one, once; only its body is text, so it can be sent again.
 *
 * @param onPlaced told the base URL of the server before the call is sent there.
 */
export function routedSend(
  host: Host,
  call: OutgoingCall,
  send: Fetch,
  onPlaced: (baseURL: string) => void,
): Fetch {
  const first = routeOf(host, call);
  if (!first && call.worker === undefined) return send;
  return async (input, init) => {
    const sendTo = (baseURL: string): Promise<Response> => {
      onPlaced(baseURL);
      return send(moved(input, host.baseURL, baseURL), init);
    };
    // A policy may send it to a server that the adapter does not know.
    if (!first) return sendTo(call.worker ?? host.baseURL);
    try {
      const response = await sendTo(first.baseURL);
      first.settled(!GONE.has(response.status));
      return response;
    } catch (error) {
      if (statusOf(error) !== "failed") throw error;
      first.settled(false);
      const second = routeOf(host, call);
      if (!second || second.baseURL === first.baseURL) throw error;
      return sendTo(second.baseURL);
    }
  };
}

/** The same endpoint at another base URL; the same as it was when that cannot be read. */
function moved(input: string | URL | Request, from: string, to: string): string | URL | Request {
  if (!URL.canParse(to)) return input;
  const { pathname, search } = new URL(String(input));
  const own = new URL(from).pathname.replace(/\/$/, "");
  return `${to.replace(/\/$/, "")}${pathname.slice(own.length)}${search}`;
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
