import type { Attributes, Context, Link, Span, TracerProvider } from "@opentelemetry/api";
import { MissingDependencyError } from "../errors.ts";
import { fetchId } from "../runtime/action.ts";
import type { Event, Identity, RunId, Status } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import type { LedgerEntry } from "../runtime/ledger.ts";
import type { Telemetry, TelemetryObserver, TelemetrySource } from "../runtime/telemetry.ts";

type Api = typeof import("@opentelemetry/api");

/** Options of `openTelemetry`. */
export interface OpenTelemetryOptions {
  /** Default: the one that the application has registered. */
  readonly tracerProvider?: TracerProvider;
}

/** Runs followed at once; beyond, the oldest one's spans end as they are. */
const MOST_RUNS = 10_000;
/** What is open in one run, and its agents: some runs never end, and some of what they begin is never seen to end. */
const MOST_OPEN = 10_000;
const MOST_AGENTS = 1000;

/**
 * Spans by the GenAI semantic conventions (https://github.com/open-telemetry/semantic-conventions-genai): the run, its agents,
 * model calls and tools; and one for each prefetch. A model call links to the prefetch that was made for it and to the span in
 * which its prefix was valued; a prefetch links to the span that led to it. No text of a prompt is in any.
 *
 * @throws MissingDependencyError without @opentelemetry/api.
 */
export async function openTelemetry(options: OpenTelemetryOptions = {}): Promise<Telemetry> {
  const api = await import("@opentelemetry/api").catch((cause: unknown) => {
    throw new MissingDependencyError("telemetry opentelemetry", "@opentelemetry/api", cause);
  });
  return {
    name: "opentelemetry",
    attach: (source) => new Tracing(api, options.tracerProvider ?? api.trace, source),
  };
}

/** What is open in one run. */
interface RunSpans {
  readonly span: Span;
  readonly context: Context;
  /** By activation, request or tool call. */
  readonly open: Map<string, Span>;
  /** Latest span of each agent at work, by agent. */
  readonly agents: Map<string, Span>;
  /** Prefetches made for the next call of an agent, and where its prefix was valued last; by prefix. */
  readonly prefetches: Map<string, Span>;
  readonly valued: Map<string, { readonly span: Span; readonly value: number }>;
  /** The latest model call: what is decided now is because of it. */
  latest: Span;
}

class Tracing implements TelemetryObserver {
  readonly #api: Api;
  readonly #tracer: ReturnType<TracerProvider["getTracer"]>;
  readonly #engine: string;
  readonly #cacheHints: boolean;
  /** Milliseconds from the clock's zero to the epoch's. */
  readonly #epoch: number;
  readonly #runs = new Map<RunId, RunSpans>();
  readonly #begun = new WeakMap<Span, number>();
  /** By hint, until it has an outcome. */
  readonly #hints = new Map<object, Span>();

  constructor(api: Api, provider: Pick<TracerProvider, "getTracer">, source: TelemetrySource) {
    this.#api = api;
    this.#tracer = provider.getTracer("cachesage");
    this.#engine = source.engine;
    this.#cacheHints = source.cacheHints;
    this.#epoch = Date.now() - source.clock.now();
  }

  event(event: Event): void {
    switch (event.type) {
      case "run-start":
        return this.#startRun(event.run, event.at, event.session, event.graph);
      case "agent-start": {
        const span = this.#start(event, `invoke_agent ${event.agent}`, event.activation, "INTERNAL", {
          "gen_ai.operation.name": "invoke_agent",
          ...identityOf(event),
        });
        this.#runs.get(event.run)?.agents.set(event.agent, span);
        return;
      }
      case "agent-end":
        return this.#end(event, event.activation, event.status);
      case "request-start":
        return this.#request(event);
      case "request-first-token": {
        const span = this.#runs.get(event.run)?.open.get(event.request);
        const begun = span && this.#begun.get(span);
        if (begun !== undefined)
          span?.setAttribute("gen_ai.response.time_to_first_chunk", (event.at - begun) / 1000);
        return;
      }
      case "request-end":
        return this.#end(event, event.request, event.status, {
          ...tokens("gen_ai.usage.input_tokens", event.usage?.promptTokens),
          ...tokens("gen_ai.usage.output_tokens", event.usage?.outputTokens),
          ...tokens("gen_ai.usage.cache_read.input_tokens", event.usage?.cachedTokens),
          ...tokens("gen_ai.usage.cache_creation.input_tokens", event.usage?.writtenTokens),
        });
      case "tool-start":
        return void this.#start(event, `execute_tool ${event.tool}`, event.call, "INTERNAL", {
          "gen_ai.operation.name": "execute_tool",
          "gen_ai.tool.name": event.tool,
          "gen_ai.tool.call.id": event.call,
          ...identityOf(event),
        });
      case "tool-end":
        return this.#end(event, event.call, event.status);
      case "run-end":
        return this.#endRun(event.run, event.status, event.at);
      default:
        return;
    }
  }

  decision({ policy, run: id, action, at, outcome }: LedgerEntry): void {
    const run = this.#runs.get(id);
    if (!run || outcome || !this.#cacheHints || !("prefix" in action)) return;
    const attributes: Attributes = {
      "cachesage.policy": policy,
      "gen_ai.agent.name": action.prefix.agent,
      ...("value" in action && { "cachesage.value": action.value }),
    };
    const prefix = fetchId(action.prefix);
    if (action.type === "prefetch") {
      const probability = { "cachesage.probability": action.probability, "cachesage.tokens": action.tokens };
      const links = [this.#link(run.latest, "decided_in")];
      const startTime = this.#epoch + at;
      const span = this.#tracer.startSpan(
        `prefetch ${action.prefix.agent}`,
        { attributes: { ...attributes, ...probability }, links, startTime },
        run.context,
      );
      run.prefetches.set(prefix, span);
      this.#hints.set(action, span);
      return;
    }
    run.latest.addEvent(`cachesage.${action.type}`, attributes, this.#epoch + at);
    if (action.type === "retain") run.valued.set(prefix, { span: run.latest, value: action.value });
    else if (action.type === "cancel") run.prefetches.delete(prefix);
  }

  outcome(
    hint: object,
    { status, reason, tokens: count }: Parameters<NonNullable<TelemetryObserver["outcome"]>>[1],
  ): void {
    const span = this.#hints.get(hint);
    if (!span) return;
    this.#hints.delete(hint);
    span.setAttribute("cachesage.outcome", status);
    if (reason !== undefined) span.setAttribute("cachesage.reason", reason);
    if (count !== undefined) span.setAttribute("gen_ai.usage.input_tokens", count);
    if (status === "failed") span.setStatus({ code: this.#api.SpanStatusCode.ERROR });
    span.end();
  }

  fault(where: string, error: unknown): void {
    const span = this.#api.trace.getActiveSpan();
    span?.addEvent("cachesage.fault", { "cachesage.where": where, "exception.message": String(error) });
  }

  close(): void {
    for (const run of this.#runs.values()) this.#endAll(run);
    for (const span of this.#hints.values()) span.end();
    this.#runs.clear();
    this.#hints.clear();
  }

  #startRun(id: RunId, at: number, session?: string, graph?: string): void {
    const [oldest] = this.#runs;
    if (this.#runs.size >= MOST_RUNS && oldest) {
      this.#endAll(oldest[1]);
      this.#runs.delete(oldest[0]);
    }
    const attributes: Attributes = {
      "gen_ai.operation.name": "invoke_workflow",
      ...(graph !== undefined && { "gen_ai.workflow.name": graph }),
      ...(session !== undefined && { "gen_ai.conversation.id": session }),
      "cachesage.run": id,
    };
    const name = graph === undefined ? "invoke_workflow" : `invoke_workflow ${graph}`;
    const span = this.#tracer.startSpan(name, { attributes, startTime: this.#epoch + at });
    const context = this.#api.trace.setSpan(this.#api.context.active(), span);
    this.#runs.set(id, {
      span,
      context,
      open: new Newest(MOST_OPEN, (open: Span) => open.end()),
      agents: new Newest(MOST_AGENTS),
      prefetches: new Newest(MOST_AGENTS),
      valued: new Newest(MOST_AGENTS),
      latest: span,
    });
  }

  #request(event: Extract<Event, { type: "request-start" }>): void {
    const run = this.#runs.get(event.run);
    const own = fetchId(event);
    const prefetch = run?.prefetches.get(own);
    const valued = run?.valued.get(own);
    const links = [
      ...(prefetch ? [this.#link(prefetch, "prefetched_by")] : []),
      ...(valued ? [this.#link(valued.span, "kept_by", { "cachesage.value": valued.value })] : []),
    ];
    run?.prefetches.delete(own);
    const span = this.#start(
      event,
      "chat",
      event.request,
      "CLIENT",
      { "gen_ai.operation.name": "chat", "gen_ai.provider.name": this.#engine, ...identityOf(event) },
      links,
    );
    if (run) run.latest = span;
  }

  #start(
    { run: id, agent, at }: Identity & { readonly at: number },
    name: string,
    key: string,
    kind: "INTERNAL" | "CLIENT",
    attributes: Attributes,
    links: Link[] = [],
  ): Span {
    if (!this.#runs.has(id)) this.#startRun(id, at);
    const run = this.#runs.get(id) as RunSpans;
    const { trace, SpanKind } = this.#api;
    const inside = name.startsWith("invoke_agent") ? undefined : run.agents.get(agent);
    const parent = inside?.isRecording() ? trace.setSpan(run.context, inside) : run.context;
    const startTime = this.#epoch + at;
    const span = this.#tracer.startSpan(name, { kind: SpanKind[kind], attributes, links, startTime }, parent);
    this.#begun.set(span, at);
    run.open.set(key, span);
    return span;
  }

  #end(
    { run: id, at }: { run: RunId; at: number },
    key: string,
    status: Status,
    more: Attributes = {},
  ): void {
    const run = this.#runs.get(id);
    const span = run?.open.get(key);
    if (!run || !span) return;
    run.open.delete(key);
    span.setAttributes(more);
    this.#finish(span, status, at);
  }

  #endRun(id: RunId, status: Status, at: number): void {
    const run = this.#runs.get(id);
    if (!run) return;
    this.#runs.delete(id);
    for (const span of run.open.values()) this.#finish(span, status, at);
    this.#finish(run.span, status, at);
  }

  #endAll(run: RunSpans): void {
    for (const span of run.open.values()) span.end();
    run.span.end();
  }

  #finish(span: Span, status: Status, at: number): void {
    if (status === "failed") {
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR });
      span.setAttribute("error.type", "_OTHER");
    } else if (status !== "completed") span.setAttribute("cachesage.status", status);
    span.end(this.#epoch + at);
  }

  #link(span: Span, relation: string, more: Attributes = {}): Link {
    return { context: span.spanContext(), attributes: { "cachesage.relation": relation, ...more } };
  }
}

function identityOf({ agent, session, namespace, step }: Identity): Attributes {
  return {
    "gen_ai.agent.name": agent,
    ...(session !== undefined && { "gen_ai.conversation.id": session }),
    ...(namespace !== "" && { "cachesage.namespace": namespace }),
    ...(step !== undefined && { "cachesage.step": step }),
  };
}

function tokens(name: string, count: number | undefined): Attributes {
  return count === undefined ? {} : { [name]: count };
}
