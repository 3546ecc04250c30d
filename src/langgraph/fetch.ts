import { randomUUID } from "node:crypto";
import { ActionDeniedError } from "../errors.ts";
import type { AskVerdict } from "../runtime/action.ts";
import type { CallResult, LateRequestSubject, RequestSubject } from "../runtime/call.ts";
import type { OutgoingCall } from "../runtime/engine.ts";
import type { Identity } from "../runtime/event.ts";
import type { Decision } from "../runtime/gate.ts";
import { askGate, askHuman, denialOf, leaveGate } from "./ask-gate.ts";
import { deniedResponse, interruptedResponse } from "./denied-response.ts";
import { Elsewhere } from "./elsewhere.ts";
import type { CallGate, Host } from "./host.ts";
import type { Introductions } from "./introductions.ts";
import type { ModelCalls } from "./model-calls.ts";
import type { Observer } from "./observer.ts";
import { bodyShape } from "./prompt.ts";
import { race, type Winner } from "./race.ts";
import { errorText, Refusals } from "./refusals.ts";
import { isRepeatable } from "./repeatable.ts";
import { Request as ModelRequest } from "./request.ts";
import { type Fetch, routedSend } from "./routed-send.ts";
import { guard } from "./safe-host.ts";
import { isObject } from "./shapes.ts";
import { identityOf, mayRetry, nodeOf, type CallScope, type NodeSpan, type Span } from "./span.ts";
import { splice } from "./splice.ts";
import { statusOf } from "./status.ts";
import type { Tracker } from "./tracker.ts";
import { watch } from "./watch.ts";

/** A model call to the engine. */
interface EngineCall {
  readonly span: Span;
  readonly identity: Identity;
  readonly path: string;
  readonly init: RequestInit;
  readonly body: string;
  /** Its request, if a callback saw the call. */
  readonly seen: ModelRequest | undefined;
  /** Set when no callback sees the call, so that its events are ours to tell. */
  readonly unseen: ModelRequest | undefined;
}

/** How one attempt at a call is made. */
interface Way {
  readonly base: Fetch;
  readonly input: string | URL | Request;
  readonly init: RequestInit;
  /** Base URL of the server that a policy chose. */
  readonly worker?: string;
  /** Among the calls that the engine has, as policies see it. */
  readonly priority?: number;
  readonly isRepeat?: boolean;
  readonly onPlaced?: (baseURL: string) => void;
}

/** What was added to a call, and the names of it: what is switched off when the server refuses it. */
interface Decorated {
  readonly init: RequestInit;
  readonly path: string;
  readonly names: readonly string[];
}

/** Stands among the names for an adapter's own changes to the messages. */
const MARKS = "marks";
const REFUSED: ReadonlySet<number> = new Set([400, 422]);
/** Endpoints that answer a prompt; embeddings, token counts and others have no prefix to keep. */
const ANSWERS = /\/(?:completions|responses|messages)$/;
/** Quotes inside of a text are escaped, so this is a field. */
const STREAMS = /"stream"\s*:\s*true/;

/** How a second attempt ended, for the policies and the ledger. */
const OUTCOMES = {
  first: { status: "cancelled", reason: "the first one answered first after all" },
  second: { status: "completed", reason: "it answered first" },
  neither: { status: "failed", reason: "neither answered" },
} as const satisfies Record<string, CallResult>;

/** `fetch` functions for the engine's clients. What one of them learns about the server holds for all. */
export class EngineFetch {
  readonly #host: Host;
  readonly #tracker: Tracker;
  readonly #calls: ModelCalls;
  readonly #introductions: Introductions;
  readonly #refusals: Refusals;
  readonly #elsewhere: Elsewhere;

  constructor({ host, tracker, calls, introductions }: Observer) {
    this.#host = host;
    this.#tracker = tracker;
    this.#calls = calls;
    this.#introductions = introductions;
    this.#refusals = new Refusals((message) => host.warn(message));
    this.#elsewhere = new Elsewhere(host);
  }

  /** A fetch around the user's own, or around the global one. */
  around(base?: Fetch): Fetch {
    return (input, init) => {
      const introduced = guard(this.#host, "fetch", () => this.#introduced(input, init));
      if (introduced) return Promise.resolve(introduced);
      const send = base ?? globalThis.fetch;
      const call = guard(this.#host, "fetch", () => this.#call(input, init));
      if (!call) return send(input, init);
      const { gate } = this.#host;
      const way: Way = { base: send, input, init: call.init };
      if (!gate?.handles("request")) return this.#go(call, way);
      return this.#wait(gate, call, way);
    };
  }

  #introduced(input: string | URL | Request, init: RequestInit | undefined): Response | undefined {
    if (!this.#introductions.isOpen || typeof init?.body !== "string") return undefined;
    return this.#enginePath(input) === undefined ? undefined : this.#introductions.answer(init.body);
  }

  #call(input: string | URL | Request, init: RequestInit | undefined): EngineCall | undefined {
    const body = init?.body;
    if (init?.method?.toUpperCase() !== "POST" || typeof body !== "string") return undefined;
    const scope = this.#calls.scopeOf(body);
    const path = scope && this.#enginePath(input);
    if (!scope || path === undefined) return undefined;
    const { span, request } = scope;
    const identity = request?.identity ?? identityOf(span);
    if (!identity) return undefined;
    const unseen = request ? undefined : this.#unseen(scope, identity, body);
    (request ?? (unseen as ModelRequest)).sent ??= body;
    const { early } = span;
    const signal = early && (init.signal ? AbortSignal.any([init.signal, early.signal]) : early.signal);
    return { span, identity, path, init: signal ? { ...init, signal } : init, body, seen: request, unseen };
  }

  /** Sends the call when the gate lets it go. */
  async #wait(gate: CallGate, call: EngineCall, way: Way): Promise<Response> {
    const { unseen, init } = call;
    const subject = this.#subject(call);
    let decision: Decision;
    try {
      decision = await askGate(this.#host, gate, subject, init.signal ?? undefined);
    } catch (error) {
      unseen?.end(statusOf(error));
      throw error;
    }
    if (decision.verdict.type === "ask") return this.#ask(gate, call, way, { subject, decision });
    const { verdict, patienceMs, priority } = decision;
    if (verdict.type === "route" || verdict.type === "admit") {
      this.#leaveUntold(gate, call, subject);
      const routed: Way = {
        ...way,
        ...(verdict.type === "route" && { worker: verdict.baseURL }),
        ...(priority !== undefined && { priority }),
      };
      // Work ahead of time is never late.
      if (patienceMs === undefined || call.span.early) return this.#go(call, routed);
      return this.#goOrRepeat(gate, call, routed, { subject, patienceMs });
    }
    unseen?.end("failed");
    return deniedResponse(denialOf(subject, decision));
  }

  /** Lets a human decide; the call is made when the graph is resumed with a yes. */
  async #ask(
    gate: CallGate,
    call: EngineCall,
    way: Way,
    { subject, decision }: { readonly subject: RequestSubject; readonly decision: Decision },
  ): Promise<Response> {
    const { span, unseen } = call;
    const node = nodeOf(span);
    try {
      // Work ahead of its turn asks nobody: it ends here, and its turn will come.
      if (span.early) throw denialOf(subject, decision);
      await askHuman(
        gate,
        subject,
        { ...decision, verdict: decision.verdict as AskVerdict },
        node?.node.config,
      );
    } catch (error) {
      if (ActionDeniedError.isInstance(error)) {
        unseen?.end("failed");
        return deniedResponse(error);
      }
      unseen?.end("interrupted");
      return interruptedResponse(node as NodeSpan, error, decision.policy ?? "cachesage");
    }
    this.#leaveUntold(gate, call, subject);
    return this.#go(call, way);
  }

  /** A call takes no place at the gate where nobody would tell when it ends, such as one that outlives its run. */
  #leaveUntold(gate: CallGate, { seen, unseen, span }: EngineCall, subject: RequestSubject): void {
    const request = seen ?? unseen;
    if (span.run.ended || request?.ended || request?.id !== subject.id)
      leaveGate(this.#host, gate, subject, { status: "cancelled" });
  }

  #subject({ span, identity, body, seen, unseen }: EngineCall): RequestSubject {
    const request = (seen ?? unseen) as ModelRequest;
    const { prompt } = request;
    // Else it would be taken for another attempt at the same call, which has its verdict.
    const id = request.sent === body ? request.id : randomUUID();
    const { agent, run, session } = identity;
    const { context, startedAt } = span.run;
    let characters = prompt.anchor.length;
    for (const part of prompt.history) characters += part.length;
    return {
      kind: "request",
      id,
      agent,
      run,
      ...(session !== undefined && { session }),
      ...(context.tenant !== undefined && { tenant: context.tenant }),
      ...(context.priority !== undefined && { priority: context.priority }),
      ...(context.deadlineMs !== undefined && { deadline: startedAt + context.deadlineMs }),
      at: this.#host.clock.now(),
      anchor: prompt.anchor.hash,
      anchorTokens: this.#host.tokens?.(prompt.anchor.length) ?? 0,
      tokens: this.#host.tokens?.(characters) ?? 0,
      streams: STREAMS.test(body),
    };
  }

  #go(call: EngineCall, way: Way): Promise<Response> {
    this.#tell(call);
    const answer = this.#attempt(call, way);
    return call.unseen ? this.#followed(call, call.unseen, answer) : answer;
  }

  /** Sends the call, and once more when it is late and the gate says so. */
  #goOrRepeat(
    gate: CallGate,
    call: EngineCall,
    way: Way,
    { subject, patienceMs }: { readonly subject: RequestSubject; readonly patienceMs: number },
  ): Promise<Response> {
    let worker = this.#host.baseURL;
    let late: LateRequestSubject | undefined;
    this.#tell(call);
    const send = (signal: AbortSignal, secondAt: string | undefined): Promise<Response> => {
      const init = { ...way.init, signal };
      if (secondAt !== undefined)
        return this.#attempt(call, { ...way, init, worker: secondAt, isRepeat: true });
      return this.#attempt(call, { ...way, init, onPlaced: (baseURL) => (worker = baseURL) });
    };
    const ask = async (signal: AbortSignal): Promise<string | undefined> => {
      if (!guard(this.#host, "fetch", () => isRepeatable(call.path, call.body))) return undefined;
      const { id, agent, run, session, tenant, streams } = subject;
      late = {
        kind: "late-request",
        id,
        agent,
        run,
        worker,
        at: this.#host.clock.now(),
        ...(session !== undefined && { session }),
        ...(tenant !== undefined && { tenant }),
        ...(streams !== undefined && { streams }),
      };
      const { verdict } = await askGate(this.#host, gate, late, signal);
      return verdict.type === "route" ? verdict.baseURL : undefined;
    };
    const decided = (winner: Winner): void => {
      if (late) leaveGate(this.#host, gate, late, OUTCOMES[winner ?? "neither"]);
    };
    const answer = race({ send, patienceMs, late: ask, decided }, way.init.signal ?? undefined);
    return call.unseen ? this.#followed(call, call.unseen, answer) : answer;
  }

  /** Path of a request that goes to the engine; undefined when it goes elsewhere, which the user is told where hints are on. */
  #enginePath(input: string | URL | Request): string | undefined {
    if (typeof input !== "string" && !(input instanceof URL)) return undefined;
    const { origin, pathname } = new URL(input);
    const base = new URL(this.#host.baseURL);
    const root = base.pathname.endsWith("/") ? base.pathname : `${base.pathname}/`;
    if (!ANSWERS.test(pathname)) return undefined;
    if (origin === base.origin && pathname.startsWith(root)) return pathname;
    if (this.#host.cacheHints) this.#elsewhere.note(new URL(input));
    return undefined;
  }

  /** The call's request; the one from before when the client tries the same body again. */
  #unseen({ span, seenAs }: CallScope, identity: Identity, body: string): ModelRequest {
    const before = span.retryable?.get(body);
    span.retryable?.delete(body);
    if (before?.ended === false) return before;
    const parsed: unknown = JSON.parse(body);
    const prompt = bodyShape(isObject(parsed) ? parsed : {});
    const id = seenAs ?? randomUUID();
    const host = span.early?.hostOf(seenAs !== undefined) ?? this.#host;
    return new ModelRequest(host, { id, identity, run: span.run, prompt });
  }

  #tell({ span, seen, unseen, identity, body }: EngineCall): void {
    const request = seen ?? unseen;
    const tell = (): void => {
      if (!this.#host.cacheHints || request?.told === body || span.run.ended) return;
      if (request) request.told = body;
      guard(this.#host, "fetch", () => this.#host.requestBody(identity, body, request?.id));
    };
    if (span.early) span.early.whenWanted(tell);
    else tell();
  }

  #decorate(outgoing: OutgoingCall, { path, body }: EngineCall, init: RequestInit): Decorated | undefined {
    const decoration: unknown = this.#host.decorate(outgoing);
    if (!isObject(decoration)) return undefined;
    const isTaken = ([name]: readonly [string, unknown]) => !this.#refusals.has(path, name);
    const fields = Object.entries(plainObject(decoration["fields"])).filter(isTaken);
    const extra = Object.entries(plainObject(decoration["headers"])).filter(isTaken);
    const edit = this.#refusals.has(path, MARKS) ? undefined : decoration["edit"];
    const headers = new Headers(init.headers);
    const missing = extra.filter(([name]) => !headers.has(name));
    for (const [name, value] of missing) headers.set(name, String(value));
    // A length that the user set by hand would no longer be true.
    const rewritten = headers.has("content-length")
      ? undefined
      : edited(splice(body, Object.fromEntries(fields)), body, edit);
    if (rewritten === undefined && missing.length === 0) return undefined;
    const inBody = rewritten === undefined ? [] : [...fields.map(([name]) => name), ...(edit ? [MARKS] : [])];
    const names = [...inBody, ...missing.map(([name]) => name)];
    return {
      init: { ...init, ...(missing.length > 0 && { headers }), body: rewritten ?? body },
      path,
      names,
    };
  }

  /** Sends the call once, or without its hints once more. */
  #attempt(call: EngineCall, way: Way): Promise<Response> {
    const { seen, unseen, identity, span } = call;
    const { base, input, init, worker, isRepeat, priority = span.run.context.priority } = way;
    const request = (seen ?? unseen)?.id;
    const outgoing: OutgoingCall = {
      url: String(input),
      identity,
      ...(request !== undefined && { request }),
      ...(priority !== undefined && { priority }),
      ...(worker !== undefined && { worker }),
      ...(isRepeat && { isRepeat }),
    };
    const hints = this.#host.cacheHints
      ? guard(this.#host, "fetch", () => this.#decorate(outgoing, call, init))
      : undefined;
    const { route, answered } = this.#host;
    if (!hints && !route && !answered && worker === undefined) return base(input, init);
    return this.#send(outgoing, hints, way);
  }

  async #send(outgoing: OutgoingCall, hints: Decorated | undefined, way: Way): Promise<Response> {
    const { base, input, init, onPlaced } = way;
    let worker = outgoing.worker;
    const send = routedSend(this.#host, outgoing, base, (baseURL) => {
      worker = baseURL;
      onPlaced?.(baseURL);
    });
    let response = await send(input, hints?.init ?? init);
    if (hints && REFUSED.has(response.status)) {
      const { status } = response;
      const said = errorText(response);
      response = await send(input, init);
      if (response.ok) void said.then((text) => this.#refusals.note(hints.path, hints.names, status, text));
    }
    this.#host.answered?.(worker === undefined ? outgoing : { ...outgoing, worker }, response.headers);
    return response;
  }

  /** Tells the end of a call that no callback sees. */
  async #followed(call: EngineCall, unseen: ModelRequest, answer: Promise<Response>): Promise<Response> {
    try {
      const response = await answer;
      if (isRetryable(response.status)) this.#mayRetry(call, unseen);
      return guard(this.#host, "fetch", () => watch(response, unseen)) ?? response;
    } catch (error) {
      const status = statusOf(error);
      if (status === "failed") this.#mayRetry(call, unseen);
      else unseen.end(status);
      throw error;
    }
  }

  /** Clients try some failures again, with the same body; the request ends with its node at the latest. */
  #mayRetry({ span, body }: EngineCall, request: ModelRequest): void {
    if (this.#tracker.find(span.id)) mayRetry(span, body, request);
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
