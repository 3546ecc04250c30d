import { AsyncLocalStorage } from "node:async_hooks";
import type { AgentId, SessionId, Status } from "../runtime/event.ts";
import type { Host } from "./host.ts";
import { isFrameworkNode, nodeAgent, pathAgent } from "./identity.ts";
import { NodeNames } from "./node-names.ts";
import { UNNAMED } from "./plan-graph.ts";
import { addOpen, type Run, type RunContext, type RunStart } from "./run.ts";
import {
  activationOf,
  isNode,
  nodeOf,
  identityAt,
  type CallScope,
  type Node,
  type NodeSpan,
  type Span,
  type ToolCall,
} from "./span.ts";

const ABORT_LINGER_MS = 1000;
/** Open runs kept; runs whose end is never told, such as of a graph that hangs, are over oldest first. */
const MAX_RUNS = 10_000;

/** What is known when a span starts. */
export interface SpanStart {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly session: SessionId | undefined;
  readonly agentName: string | undefined;
  readonly context: RunContext | undefined;
  readonly node: Node | undefined;
  /** Whether it is a compiled graph, or what `updateState` runs: that is no run, and not told. */
  readonly kind: "graph" | "state-update" | undefined;
}

type SpanParts = Pick<Span, "id" | "run" | "parent" | "name" | "agentName" | "node">;

/** Open spans of all runs, and the agents active in them. */
export class Tracker {
  readonly names = new NodeNames();
  /** Carries the span, and the request if a callback saw one, from LangGraph to `fetch`. */
  readonly scopes = new AsyncLocalStorage<CallScope>();
  readonly #host: Host;
  readonly #spans = new Map<string, Span>();
  readonly #runs = new Set<Run>();
  /** Ids of the tool calls under way. */
  readonly #toolCalls = new Set<string>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Number of spans that have started and not ended. */
  get size(): number {
    return this.#spans.size;
  }

  /** The open span with this id. */
  find(id: unknown): Span | undefined {
    return typeof id === "string" ? this.#spans.get(id) : undefined;
  }

  /**
   * The span around a call: by its parent id, else by the async context. `undefined` when it is a root; null when it
   * is a straggler of a run that has ended.
   */
  around(parentId: string | undefined): Span | undefined | null {
    const known = this.find(parentId);
    if (known) return known;
    const ambient = this.scopes.getStore()?.span;
    if (!ambient?.run.ended) return ambient;
    return parentId === undefined ? undefined : null;
  }

  /** Opens a span; undefined when it is known already or comes after the end of its run. */
  start(start: SpanStart): Span | undefined {
    const { id, name, session, agentName, node } = start;
    // Versions of @langchain/core that do not drop duplicate handlers call one handler twice.
    if (this.#spans.has(id)) return undefined;
    const parent = this.around(start.parentId);
    // A graph that goes on in the background of a run that has ended is a run of its own.
    if (parent === null && start.kind !== "graph") return undefined;
    const graph = name || undefined;
    const seen = start.kind === "state-update" ? "nothing" : "all";
    const run = parent?.run ?? this.startRun({ id, session, graph, context: start.context, seen });
    return this.open({ id, run, parent: parent ?? undefined, name, agentName, node });
  }

  /** Opens a span in a known run; a node begins its agent's activation. */
  open({ id, run, parent, name, agentName, node }: SpanParts): Span {
    const span: Span = {
      id,
      run,
      parent,
      name,
      agentName,
      node,
      activation: undefined,
      tool: undefined,
      retryable: undefined,
      arrived: undefined,
      deferral: undefined,
      early: undefined,
      get mayBeLost() {
        return id !== run.id && !node && !span.activation && !span.tool;
      },
      end: (status) => this.end(span, status),
    };
    this.#spans.set(span.id, span);
    addOpen(run, span);
    span.run.spans++;
    if (isNode(span)) this.#activateNode(span);
    return span;
  }

  /** Opens a run. One of which nothing is seen counts as over from the start. */
  startRun({ id, session, graph, context = {}, seen }: RunStart): Run {
    const at = this.#host.clock.now();
    const run: Run = {
      id,
      session,
      graph,
      context,
      isConfigured: false,
      startedAt: at,
      open: new Set(),
      spans: 0,
      interrupted: false,
      ended: seen === "nothing",
    };
    if (run.ended) return run;
    if (this.#runs.size >= MAX_RUNS) this.#endOldest();
    this.#runs.add(run);
    const known = {
      ...(session !== undefined && { session }),
      ...(graph !== undefined && { graph }),
      ...(seen === "start" && { endIsUnseen: true as const }),
    };
    this.#host.emit({ type: "run-start", at, run: id, ...known });
    return run;
  }

  /** Ends a span with what it opened; a root span ends its run and whatever is still open there. */
  end(span: Span, status: Status): void {
    if (!this.#spans.delete(span.id)) return;
    const { run, tool, activation } = span;
    run.open.delete(span);
    if (tool) this.#toolCalls.delete(tool.call);
    if (span.retryable) for (const request of span.retryable.values()) request.end("failed");
    const isRoot = span.id === run.id;
    const final = isRoot && status === "completed" && run.interrupted ? "interrupted" : status;
    if (isRoot) for (const open of run.open) open.end(final === "interrupted" ? final : "cancelled");
    if (run.ended) return;
    const at = this.#host.clock.now();
    if (tool) {
      const { identity, ...call } = tool;
      this.#host.emit({ type: "tool-end", at, ...identity, ...call, status: final });
    }
    if (activation) {
      const { identity, id } = activation;
      this.#host.emit({ type: "agent-end", at, ...identity, activation: id, status: final });
    }
    if (isRoot) this.endRun(run, final);
  }

  /**
   * LangGraph never tells the end of a run that is aborted in the first turn of a node. A run in which nothing starts
   * for a second after an aborted node is taken to be over.
   */
  expectEnd(run: Run): void {
    const { spans } = run;
    const check = () => {
      const root = this.#spans.get(run.id);
      if (root && run.spans === spans) this.end(root, "cancelled");
    };
    setTimeout(check, ABORT_LINGER_MS).unref();
  }

  /** Ends a run; events of it that come later are dropped. */
  endRun(run: Run, status: Status): void {
    if (run.ended) return;
    run.ended = true;
    this.#runs.delete(run);
    const session = run.session === undefined ? {} : { session: run.session };
    this.#host.emit({ type: "run-end", at: this.#host.clock.now(), run: run.id, ...session, status });
  }

  #endOldest(): void {
    const [oldest] = this.#runs;
    if (!oldest) return;
    for (const open of oldest.open) open.end("cancelled");
    this.endRun(oldest, "cancelled");
  }

  /** Begins an activation with a span, unless the span is a graph inside that very agent already. */
  activate(span: Span, agent: AgentId, path: readonly string[], step?: number): void {
    if (span.activation || span.run.ended) return;
    if (!isNode(span) && activationOf(span.parent)?.identity.agent === agent) return;
    const identity = identityAt(agent, span.run, path, step);
    span.activation = { id: span.id, identity };
    const at = this.#host.clock.now();
    this.#host.emit({ type: "agent-start", at, ...identity, activation: span.id });
  }

  /** Makes a span a tool call; `call` is the model's id of it, which some servers give to several calls at a time. */
  startTool(
    span: Span,
    { call, tool, identity }: Omit<ToolCall, "call"> & { call: string | undefined },
  ): void {
    const isOwn = call !== undefined && !this.#toolCalls.has(call);
    span.tool = { call: isOwn ? call : span.id, tool, identity };
    this.#toolCalls.add(span.tool.call);
    if (span.run.ended) return;
    const at = this.#host.clock.now();
    this.#host.emit({ type: "tool-start", at, ...identity, call: span.tool.call, tool });
  }

  /** Finds out which agent a node belongs to, and begins its activation where that agent begins. */
  #activateNode(span: NodeSpan): void {
    const { node, parent: graph } = span;
    const { path, step } = node;
    const whole = node.agent === undefined ? this.#wholeGraphAgent(span) : undefined;
    const own = () => (graph ? nodeAgent(path) : (pathAgent(path) ?? span.name));
    if (graph && whole !== undefined) this.activate(graph, whole, path.slice(0, -1));
    else this.activate(span, node.agent ?? own(), path, step);
    if (!node.plan) this.names.learn(span, activationOf(span)?.identity.agent ?? span.name);
  }

  /** The agent that the node's whole graph is; undefined when its nodes are agents of their own. */
  #wholeGraphAgent(span: NodeSpan): AgentId | undefined {
    const { node, parent: graph, name } = span;
    if (!graph) return undefined;
    if (graph.agentName !== graph.parent?.agentName) return graph.agentName;
    if (!isFrameworkNode(name)) return undefined;
    if (!(node.plan?.graph.isAgent ?? this.names.isAgentGraph(span))) return undefined;
    const compiled = node.plan?.graph.name ?? graph.name;
    const outer = nodeOf(graph.parent);
    if (!outer) return compiled;
    // Called by a tool, it is an agent of its own; called by any other node, it is that node's agent.
    const enclosing = activationOf(outer)?.identity.agent;
    return isFrameworkNode(outer.name) && compiled !== UNNAMED ? compiled : enclosing;
  }
}
