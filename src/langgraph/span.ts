import type { AgentId, Identity } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import { configureRun } from "./config.ts";
import type { Early } from "./early.ts";
import type { Host } from "./host.ts";
import type { NodePlan } from "./plan.ts";
import type { Request } from "./request.ts";
import type { Open, Run } from "./run.ts";
import type { ConfigLike } from "./shapes.ts";
import type { Unfinished } from "./unfinished.ts";

/** Failed requests of a span that its client may try again. */
const MAX_RETRYABLE = 64;

/** One activation of an agent. */
export interface Activation {
  readonly id: string;
  readonly identity: Identity;
}

/** A tool call. */
export interface ToolCall {
  readonly call: string;
  readonly tool: string;
  readonly identity: Identity;
}

/** Deferred nodes of a graph at work that were reached. */
export interface Deferral {
  readonly waiting: Set<AgentId>;
  /** Latest superstep after which another node than those runs. */
  goesOnAfter: number | undefined;
}

/** A piece of a run as LangChain traces it: a graph, a node, a tool, or anything that runs inside one. */
export interface Span extends Open {
  readonly id: string;
  readonly run: Run;
  readonly parent: Span | undefined;
  readonly name: string;
  /** Name that createAgent put into the metadata; inherited by everything inside. */
  readonly agentName: string | undefined;
  /** Set for nodes only. */
  readonly node: Node | undefined;
  /** The activation that began with this span, if one did. */
  activation: Activation | undefined;
  /** Set for tool calls inside an agent. */
  tool: ToolCall | undefined;
  /** Failed requests that only `fetch` saw and that the client may try again, by body. */
  retryable: Map<string, Request> | undefined;
  /** Of a graph with joins: who arrived so far, by join. */
  arrived: Map<string, Set<string>> | undefined;
  /** Of a graph with deferred nodes: which of them were reached and wait. */
  deferral: Deferral | undefined;
  /** Set for the stand-in of a node that runs before it is known to be wanted: LangGraph has no such span. */
  readonly early: Early | undefined;
}

/** What a span knows when it is a node. */
export interface Node {
  /** The checkpoint namespace, with ids, as LangGraph gives it. */
  readonly checkpoint: unknown;
  /** Node names from the root graph to this node. */
  readonly path: readonly string[];
  readonly step: number | undefined;
  readonly plan: NodePlan | undefined;
  /** Name as an agent, when the node was given one. */
  readonly agent: string | undefined;
  /** What is known already about the agents that run next. */
  readonly next: Set<AgentId>;
  /** True once the node's own code has returned: what LangGraph runs then is its conditional edges. */
  returned: boolean;
  /** LangGraph's config of it, where its code runs inside of ours, so that a human can be asked. */
  config?: ConfigLike | undefined;
  /** LangGraph's own error by which a human is asked about a model call, on its way through that call's client. */
  interrupt?: unknown;
}

/** A span that is a node. */
export type NodeSpan = Span & { readonly node: Node };

/** What cachesage keeps in its AsyncLocalStorage. */
export interface CallScope {
  readonly span: Span;
  /** The request that a callback saw and that is on its way to `fetch`. */
  readonly request?: Request;
  /** Id of the call, when it is made early and callbacks will tell of it. */
  readonly seenAs?: string;
}

/** The activation that a span belongs to. */
export function activationOf(span: Span | undefined): Activation | undefined {
  for (let at = span; at; at = at.parent) if (at.activation) return at.activation;
  return undefined;
}

/** The node that a span belongs to, itself included. */
export function nodeOf(span: Span | undefined): NodeSpan | undefined {
  for (let at = span; at; at = at.parent) if (isNode(at)) return at;
  return undefined;
}

/**
 * Takes what a config says about its run, where that changes anything; with a gate it also keeps that of the node that a span
 * belongs to, when it is of a node of LangGraph.
 */
export function holdConfig(
  { gate, cacheHints }: Pick<Host, "gate" | "cacheHints">,
  span: Span,
  config: ConfigLike | undefined,
): void {
  if (gate || cacheHints) configureRun(span.run, config);
  if (!gate) return;
  const node = nodeOf(span);
  if (node && config?.configurable?.["__pregel_scratchpad"] !== undefined) node.node.config = config;
}

/** Tells nodes from all other spans. */
export function isNode(span: Span | undefined): span is NodeSpan {
  return span?.node !== undefined;
}

/** Notes a failed request that the client may try again; of too many, the oldest is over. */
export function mayRetry(span: Span, body: string, request: Request): void {
  span.retryable ??= new Newest(MAX_RETRYABLE, (oldest) => oldest.end("failed"));
  span.retryable.set(body, request);
}

/** Where a call inside a span happens; undefined outside of any agent. */
export function identityOf(span: Span): Identity | undefined {
  const activation = activationOf(span);
  const node = nodeOf(span);
  // The usual case: the activation began with this very node, and says where it is already.
  if (!activation || !node || node.activation === activation) return activation?.identity;
  const { path, step = activation.identity.step } = node.node;
  return identityAt(activation.identity.agent, span.run, path, step);
}

/** Identity of an agent at a place in a run. */
export function identityAt(
  agent: AgentId,
  { id: run, session }: Run,
  path: readonly string[],
  step: number | undefined,
): Identity {
  const identity: Unfinished<Identity> = { agent, run, namespace: path.join("|") };
  // Set and not spread: an optional field that is spread costs V8 thirty times as much, and this is made for every call.
  if (session !== undefined) identity.session = session;
  if (step !== undefined) identity.step = step;
  return identity;
}
