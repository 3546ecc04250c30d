import { AsyncResource } from "node:async_hooks";
import type { Outcome, SpeculateHint } from "../runtime/action.ts";
import type { AgentId, Event, RunId } from "../runtime/event.ts";
import { EarlyRun, type EarlyStart } from "./early-run.ts";
import type { Early } from "./early.ts";
import { isHoldable } from "./held-callbacks.ts";
import type { Host } from "./host.ts";
import { guard } from "./safe-host.ts";
import type { ConfigLike, NodeLike, PregelLike } from "./shapes.ts";
import { activationOf, identityAt, type NodeSpan, type Span } from "./span.ts";
import { agentIn } from "./topology.ts";
import type { Tracker } from "./tracker.ts";

const NO_NODE = "no node that can be run early";
/** Its nodes write to a stream and to checkpoints of their own while they run, which cannot be taken back. */
const SUBGRAPH = "a subgraph runs in its turn only";
/** What happens inside of a node is streamed at once, by a tracer that wraps its streams: it cannot be told later. */
const WATCHED = "streamEvents or streamLog watches the node while it runs";

/** A node at work, from which the next one can be started early. */
interface Place {
  readonly graph: PregelLike;
  readonly span: NodeSpan;
  readonly input: unknown;
  readonly config: ConfigLike;
  /** The async context in which LangGraph called it. */
  readonly context: AsyncResource;
}

/** The nodes that run early, by run. */
export class Speculator {
  readonly #host: Host;
  readonly #tracker: Tracker;
  /** The node's own body, by the stand-in that observes it. */
  readonly #bodies = new WeakMap<object, EarlyStart["body"]>();
  readonly #places = new Map<RunId, Map<AgentId, Place>>();
  readonly #early = new Map<RunId, Map<AgentId, EarlyRun>>();

  constructor(host: Host, tracker: Tracker) {
    this.#host = host;
    this.#tracker = tracker;
  }

  /** A node that may be run early, when a policy says so. */
  declare(standIn: object, body: EarlyStart["body"]): void {
    this.#bodies.set(standIn, body);
  }

  /** A node is called. */
  entered(graph: PregelLike, span: Span, input: unknown, config: ConfigLike | undefined): void {
    if (!config || !span.node || !span.activation || span.run.ended) return;
    const context = new AsyncResource("cachesage.node");
    const { agent } = span.activation.identity;
    placeIn(this.#places, span.run.id).set(agent, { graph, span: span as NodeSpan, input, config, context });
  }

  /** Runs an agent's node early. `settle` is told once what became of it: at once where it cannot be. */
  start({ prefix: { agent, run }, from, tokens }: SpeculateHint, settle: (outcome: Outcome) => void): void {
    const place = this.#places.get(run)?.get(from);
    const known = this.#early.get(run)?.get(agent);
    if (known) return settle({ status: "ignored", reason: "it runs already" });
    const start = place ? this.#plan(place, agent, tokens) : NO_NODE;
    if (!place || typeof start === "string") return settle({ status: "ignored", reason: String(start) });
    const early = new EarlyRun(this.#host, this.#tracker, start, (outcome) => {
      const all = this.#early.get(run);
      if (all?.get(agent) === early) all.delete(agent);
      if (all?.size === 0) this.#early.delete(run);
      settle(outcome);
    });
    placeIn(this.#early, run).set(agent, early);
    // The call that made it probable goes out first.
    setImmediate(() =>
      guard(this.#host, "speculate", () => place.context.runInAsyncScope(() => early.begin())),
    );
  }

  /** What the node's early run returns, when there is one that was started with this very input. */
  taken(
    body: object,
    span: Span,
    input: unknown,
    config: ConfigLike | undefined,
    again: () => unknown,
  ): Promise<unknown> | undefined {
    const all = this.#early.get(span.run.id);
    if (!all) return undefined;
    const early = [...all.values()].find((one) => one.body === body);
    if (!early) return undefined;
    if (config && early.fits(input)) return early.take(span, config, again);
    early.drop({ status: "rejected", reason: "the node is called with another input" });
    return undefined;
  }

  observe(event: Event): void {
    switch (event.type) {
      case "agent-end": {
        // Of some runs nobody sees the end.
        const places = this.#places.get(event.run);
        if (places?.delete(event.agent) && places.size === 0) this.#places.delete(event.run);
        return;
      }
      case "next-agents":
        for (const [agent, early] of this.#early.get(event.run) ?? [])
          if (!event.agents.includes(agent))
            early.drop({ status: "cancelled", reason: `${event.agents.join(", ")} is next` });
        return;
      case "run-end":
        this.#places.delete(event.run);
        for (const early of this.#early.get(event.run)?.values() ?? [])
          early.drop({ status: "cancelled", reason: "the run ended" });
        return;
      default:
        return;
    }
  }

  /** What has to be known to run the agent's node early, or why it cannot be. */
  #plan({ graph, span, input, config }: Place, agent: AgentId, tokens: number): EarlyStart | string {
    const { plan, path, step } = span.node;
    const { callbacks } = config;
    if (!plan || span.run.ended) return NO_NODE;
    if (!isHoldable(callbacks)) return WATCHED;
    const prefix = path.slice(0, -1);
    const owner = activationOf(span)?.identity.agent ?? span.name;
    const next = [...plan.graph.nodes.values()].find(
      ({ name }) => agentIn(plan.graph, { prefix, owner }, name) === agent,
    );
    const [before, node] = [graph.nodes[span.name], next && graph.nodes[next.name]];
    const body = node && this.#bodies.get(node.bound);
    if (next?.subgraph) return SUBGRAPH;
    if (!next || !before || !body) return NO_NODE;
    const nextPath = [...prefix, next.name];
    const nextStep = step === undefined ? undefined : step + 1;
    const identity = identityAt(agent, span.run, nextPath, nextStep);
    const standIn = (early: Early): NodeSpan => ({
      ...span,
      id: `${span.id}/early`,
      name: next.name,
      node: { ...span.node, path: nextPath, step: nextStep, plan: next, agent, next: new Set() },
      activation: { id: `${span.id}/early`, identity },
      retryable: undefined,
      early,
      end: () => {},
    });
    return {
      name: next.name,
      body,
      node: node as NodeLike,
      before,
      input,
      config: { ...config, callbacks },
      span: standIn,
      tokens,
    };
  }
}

function placeIn<T>(all: Map<RunId, Map<AgentId, T>>, run: RunId): Map<AgentId, T> {
  let own = all.get(run);
  if (!own) all.set(run, (own = new Map()));
  return own;
}
