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
 * Sends a call to the server that a policy, or else the adapter, chose for it. When that one cannot be reached, or a gateway says
 * so in its place, the call goes to another one, once; only its body is text, so it can be sent again.
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
    const attempt = async (route: Route) => {
      const answer = sendTo(route.baseURL);
      const isAnswered = await hasAnswered(answer);
      if (isAnswered !== undefined) route.settled(isAnswered);
      return { answer, isAnswered };
    };
    const { answer, isAnswered } = await attempt(first);
    const second = isAnswered === false ? routeOf(host, call) : undefined;
    if (!second || second.baseURL === first.baseURL) return answer;
    answer.then((response) => response.body?.cancel()).catch(() => {});
    return (await attempt(second)).answer;
  };
}

/** Whether the server itself has answered, and no gateway in its place; of a call that was given up nothing is known. */
async function hasAnswered(answer: Promise<Response>): Promise<boolean | undefined> {
  try {
    return !GONE.has((await answer).status);
  } catch (error) {
    return statusOf(error) === "failed" ? false : undefined;
  }
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
