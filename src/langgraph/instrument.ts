import { START } from "../runtime/event.ts";
import { withHandler } from "./callbacks.ts";
import { configOf } from "./config.ts";
import { undisguise } from "./denied-response.ts";
import type { CacheSageHandler } from "./handler.ts";
import type { Observer } from "./observer.ts";
import { planGraph, subgraphsOf } from "./plan-graph.ts";
import { setPlan, type GraphPlan } from "./plan.ts";
import { guard } from "./safe-host.ts";
import { settleIn } from "./settle.ts";
import { isObject, isPregel, type PregelLike } from "./shapes.ts";
import { holdConfig, isNode } from "./span.ts";
import { createGatedTool, gateToolNode } from "./tool-gate.ts";
import { flatten } from "./topology.ts";
import type { Tracker } from "./tracker.ts";

const UNSEEN =
  "an instrumented graph runs without cachesage's handler, so that who is next is not seen, and the end of a run late: before LangGraph.js " +
  "1.4.4, callbacks that are given at a call replace those of the graph. Put sage.handler among them, or update @langchain/langgraph";

/** Marks the bodies that are scoped, with the trackers that do it; shared by all copies of the package. */
const SCOPED_BY = Symbol.for("cachesage.scoped-by");

/** Observes compiled graphs in place. */
export function createInstrument(observer: Observer): <T>(graph: T) => T {
  const { host } = observer;
  const declared = new WeakSet<object>();
  return (graph) => {
    guard(host, "instrument", () => {
      const target = pregelOf(graph);
      if (!target) return;
      const plan = planGraph(target);
      scope(target, plan, observer, new Set());
      attach(target, observer.handler);
      // Copies that withConfig makes share their nodes with the original: one graph, told once.
      if (declared.has(target.nodes)) return;
      declared.add(target.nodes);
      host.emit({ type: "topology", at: host.clock.now(), graph: plan.name, ...flatten(plan) });
    });
    return graph;
  };
}

/** A compiled graph, or the one inside langchain's createAgent. */
function pregelOf(graph: unknown): PregelLike | undefined {
  if (isPregel(graph)) return graph;
  const inner = isObject(graph) ? graph["graph"] : undefined;
  return isPregel(inner) ? inner : undefined;
}

function scope(graph: PregelLike, plan: GraphPlan, observer: Observer, seen: Set<PregelLike>): void {
  if (seen.has(graph)) return;
  seen.add(graph);
  for (const [name, node] of Object.entries(graph.nodes)) {
    const nodePlan = plan.nodes.get(name);
    if (name === START || !nodePlan) continue;
    const subgraphs = subgraphsOf(node);
    for (const subgraph of subgraphs)
      scope(subgraph, nodePlan.subgraph ?? planGraph(subgraph), observer, seen);
    // Keeps getState, getSubgraphs and drawings on the graph itself and not on its scoped stand-in.
    if (subgraphs.length > 0 && !node.subgraphs?.length) node.subgraphs = subgraphs;
    if (observer.host.gate?.handles("tool-call")) gateToolNode(node.bound, createGatedTool(observer));
    if (!isScoped(node.bound, observer.tracker)) {
      const body = node.bound;
      node.bound = scoped(body, graph, observer);
      // Another one that observes the same node would be told of what runs early.
      if (isInvocable(body) && !isScopedAtAll(body)) observer.speculator?.declare(node.bound, body);
    }
    setPlan(node.bound, nodePlan);
  }
}

interface Invocable {
  invoke(...parameters: readonly unknown[]): unknown;
}

function isInvocable(body: object): body is Invocable {
  return typeof (body as Partial<Invocable>).invoke === "function";
}

function isScopedAtAll(body: object): boolean {
  return (body as { [SCOPED_BY]?: unknown })[SCOPED_BY] !== undefined;
}

function isScoped(body: object, tracker: Tracker): boolean {
  const by: unknown = (body as { [SCOPED_BY]?: unknown })[SCOPED_BY];
  return Array.isArray(by) && by.includes(tracker);
}

/**
 * The same Runnable, with `invoke` inside of the node's scope. A proxy and not a subclass: everything else about it,
 * private fields included, stays the object that the user or LangGraph made.
 */
function scoped(body: object, graph: PregelLike, observer: Observer): object {
  const { tracker, unattended, host, steps, speculator } = observer;
  const invoke = (input: unknown, config?: unknown, ...rest: unknown[]) => {
    const own = () => (body as Invocable).invoke(input, config, ...rest);
    const entered = guard(host, "node", () => unattended.enter(configOf(config)));
    if (!entered) return own();
    const { span, isOurs } = entered;
    if (isOurs) warnOfUnseen(observer);
    const call = speculator
      ? () => {
          guard(host, "node", () => speculator.entered(graph, span, input, configOf(config)));
          const taken = guard(host, "node", () => speculator.taken(body, span, input, configOf(config), own));
          return taken ?? own();
        }
      : own;
    guard(host, "node", () => holdConfig(host, span, configOf(config)));
    const started = host.gate ? () => undisguise(steps.start(span, configOf(config), call), span) : call;
    const isRouted = isNode(span) && (span.node.plan?.branches.length ?? 0) > 0;
    if (!isOurs && !isRouted) return tracker.scopes.run({ span }, started);
    return settleIn(tracker.scopes, { span }, started, (status) => {
      if (isOurs) span.end(status);
      else if (isNode(span)) span.node.returned = true;
    });
  };
  const by = [...((body as { [SCOPED_BY]?: readonly object[] })[SCOPED_BY] ?? []), tracker];
  return new Proxy(body, {
    get(target, key) {
      if (key === "invoke") return invoke;
      if (key === SCOPED_BY) return by;
      const value: unknown = Reflect.get(target, key, target);
      const isMethod = typeof value === "function" && key !== "constructor" && !Object.hasOwn(target, key);
      // Methods run on the target: on the proxy they could not reach its private fields.
      return isMethod ? value.bind(target) : value;
    },
  });
}

/** Those who were told. */
const warned = new WeakSet<Observer>();

/** No callback told of a node that runs. */
function warnOfUnseen(observer: Observer): void {
  if (warned.has(observer)) return;
  warned.add(observer);
  observer.host.warn(UNSEEN);
}

/** Adds the handler to a graph's own callbacks, once. LangGraph merges them with those of a call, from 1.4.4 on. */
function attach(graph: PregelLike, handler: CacheSageHandler): void {
  const callbacks: unknown = graph.config?.callbacks;
  graph.config = { ...graph.config, callbacks: withHandler(callbacks, handler) };
}
