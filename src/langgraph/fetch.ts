import { randomUUID } from "node:crypto";
import type { OutgoingCall } from "../runtime/engine.ts";
import type { Identity } from "../runtime/event.ts";
import type { Host } from "./host.ts";
import { bodyShape } from "./prompt.ts";
import { Request as ModelRequest } from "./request.ts";
import { type Fetch, routedSend } from "./routed-send.ts";
import { guard } from "./safe-host.ts";
import { isObject } from "./shapes.ts";
import { identityOf, type Span } from "./span.ts";
import { splice } from "./splice.ts";
import { statusOf } from "./status.ts";
import type { Tracker } from "./tracker.ts";
import { watch } from "./watch.ts";

/** A request to the engine that is not simply passed on. */
interface Outgoing {
  readonly span: Span;
  readonly call: OutgoingCall;
  readonly body: string;
  /** Set when no callback sees the call, so that its events are ours to tell. */
  readonly unseen: ModelRequest | undefined;
  readonly decorated: RequestInit | undefined;
  /** Endpoint and names of what was added: what is switched off when the server refuses it. */
  readonly key: string;
}

const REFUSED: ReadonlySet<number> = new Set([400, 422]);

/** `fetch` functions for the engine's clients. What one of them learns about the server holds for all. */
export class EngineFetch {
  readonly #host: Host;
  readonly #tracker: Tracker;
  readonly #refused = new Set<string>();

  constructor(host: Host, tracker: Tracker) {
    this.#host = host;
    this.#tracker = tracker;
  }

  /** A fetch around the user's own, or around the global one. */
  around(base?: Fetch): Fetch {
    return (input, init) => {
      const send = base ?? globalThis.fetch;
      const outgoing = guard(this.#host, "fetch", () => this.#open(input, init));
      return outgoing ? this.#send(outgoing, send, input, init) : send(input, init);
    };
  }

  #open(input: string | URL | Request, init: RequestInit | undefined): Outgoing | undefined {
    const scope = this.#tracker.scopes.getStore();
    const body = init?.body;
    if (!scope || init?.method?.toUpperCase() !== "POST" || typeof body !== "string") return undefined;
    const path = this.#enginePath(input);
    const { span, request } = scope;
    const identity = request?.identity ?? identityOf(span);
    if (path === undefined || !identity) return undefined;
    const unseen = request ? undefined : this.#unseen(span, identity, body);
    const hints = this.#host.cacheHints
      ? guard(this.#host, "fetch", () => this.#decorate(String(input), path, identity, init, body))
      : undefined;
    this.#tell(request ?? unseen, identity, body);
    if (!unseen && !hints && !this.#host.route && !this.#host.answered) return undefined;
    const call = { url: String(input), identity };
    return { span, call, body, unseen, decorated: hints?.init, key: hints?.key ?? "" };
  }

  /** Path of a request that goes to the engine; undefined when it goes elsewhere. */
  #enginePath(input: string | URL | Request): string | undefined {
    if (typeof input !== "string" && !(input instanceof URL)) return undefined;
    const { origin, pathname } = new URL(input);
    const base = new URL(this.#host.baseURL);
    const root = base.pathname.endsWith("/") ? base.pathname : `${base.pathname}/`;
    return origin === base.origin && pathname.startsWith(root) ? pathname : undefined;
  }

  /** The call's request; the one from before when the client tries the same body again. */
  #unseen(span: Span, identity: Identity, body: string): ModelRequest {
    const before = span.retryable?.get(body);
    span.retryable?.delete(body);
    if (before?.ended === false) return before;
    const parsed: unknown = JSON.parse(body);
    const prompt = bodyShape(isObject(parsed) ? parsed : {});
    return new ModelRequest(this.#host, { id: randomUUID(), identity, run: span.run, prompt });
  }

  #tell(request: ModelRequest | undefined, identity: Identity, body: string): void {
    if (!this.#host.cacheHints || request?.told === body) return;
    if (request) request.told = body;
    this.#host.requestBody(identity, body);
  }

  #decorate(
    url: string,
    path: string,
    identity: Identity,
    init: RequestInit,
    body: string,
  ): { readonly init: RequestInit; readonly key: string } | undefined {
    const decoration: unknown = this.#host.decorate({ url, identity });
    if (!isObject(decoration)) return undefined;
    const fields = plainObject(decoration["fields"]);
    const extra = plainObject(decoration["headers"]);
    const names = [...Object.keys(fields), ...Object.keys(extra), ...(decoration["edit"] ? ["marks"] : [])];
    const key = `${path} ${names.toSorted().join(", ")}`;
    if (this.#refused.has(key)) return undefined;
    const headers = new Headers(init.headers);
    const missing = Object.entries(extra).filter(([name]) => !headers.has(name));
    for (const [name, value] of missing) headers.set(name, String(value));
    // A length that the user set by hand would no longer be true.
    const rewritten = headers.has("content-length")
      ? undefined
      : edited(splice(body, fields), body, decoration["edit"]);
    if (rewritten === undefined && missing.length === 0) return undefined;
    return { init: { ...init, ...(missing.length > 0 && { headers }), body: rewritten ?? body }, key };
  }

  async #send(
    outgoing: Outgoing,
    base: Fetch,
    input: string | URL | Request,
    init: RequestInit | undefined,
  ): Promise<Response> {
    const { call, unseen, decorated } = outgoing;
    const send = routedSend(this.#host, call, base);
    try {
      let response = await send(input, decorated ?? init);
      if (decorated && REFUSED.has(response.status)) {
        response.body?.cancel().catch(() => {});
        const { status } = response;
        response = await send(input, init);
        if (response.ok) this.#switchOff(outgoing.key, status);
      }
      this.#host.answered?.(call, response.headers);
      if (!unseen) return response;
      if (isRetryable(response.status)) this.#mayRetry(outgoing, unseen);
      return guard(this.#host, "fetch", () => watch(response, unseen)) ?? response;
    } catch (error) {
      const status = statusOf(error);
      if (unseen && status === "failed") this.#mayRetry(outgoing, unseen);
      else unseen?.end(status);
      throw error;
    }
  }

  #switchOff(key: string, status: number): void {
    if (this.#refused.has(key)) return;
    this.#refused.add(key);
    const [path, ...names] = key.split(" ");
    this.#host.warn(
      `the server refused a request with ${names.join(" ")} (HTTP ${status}) and took it without; ` +
        `these hints are off for ${path}`,
    );
  }

  /** Clients try some failures again, with the same body; the request ends with its node at the latest. */
  #mayRetry({ span, body }: Outgoing, request: ModelRequest): void {
    if (this.#tracker.find(span.id)) (span.retryable ??= new Map()).set(body, request);
    else request.end("failed");
  }
}

function isRetryable(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/** A body after the adapter's own changes; undefined when nothing changes it. */
function edited(spliced: string | undefined, body: string, edit: unknown): string | undefined {
  if (typeof edit !== "function") return spliced;
  const changed: unknown = edit(JSON.parse(spliced ?? body));
  return isObject(changed) ? JSON.stringify(changed) : spliced;
}

function plainObject(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value) ? value : {};
}
