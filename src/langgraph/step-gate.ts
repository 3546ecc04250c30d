import { LRUCache } from "lru-cache";
import type { TransitionSubject } from "../runtime/call.ts";
import type { AgentId } from "../runtime/event.ts";
import { askGate, askHuman, denialOf } from "./ask-gate.ts";
import type { Host } from "./host.ts";
import { type ConfigLike, text } from "./shapes.ts";
import { isNode, type NodeSpan, type Span } from "./span.ts";

/** Agents of a graph's superstep under way, and of the one before. */
interface Steps {
  step: number;
  agents: Set<AgentId>;
  before: readonly AgentId[];
}

/** Asks whether the agent that a node begins may start after those before it. */
export class StepGate {
  readonly #host: Host;
  /** By the span of the graph that the nodes are in, or the run where no such span is seen. */
  readonly #steps = new WeakMap<object, Steps>();
  readonly #asked = new WeakSet<Span>();
  /** By task of LangGraph, which keeps its id when its node runs again: after an interrupt the run is another one. */
  readonly #tasks = new LRUCache<string, readonly AgentId[]>({ max: 10_000 });

  constructor(host: Host) {
    this.#host = host;
  }

  /** Starts a node when it may; throws, or rejects, when it may not. */
  start<T>(span: Span, config: ConfigLike | undefined, node: () => T): T {
    const waits = this.#enter(span, config);
    // A node that had to wait answers with a promise, which LangGraph takes from any node.
    return waits === undefined ? node() : (waits.then(node) as T);
  }

  /** Undefined when the node may start at once; else what to wait for. */
  #enter(span: Span, config: ConfigLike | undefined): Promise<void> | undefined {
    const { gate } = this.#host;
    if (!gate?.handles("transition") || !isNode(span) || !span.activation || span.early) return undefined;
    if (this.#asked.has(span)) return undefined;
    this.#asked.add(span);
    const { agent, run, session } = span.activation.identity;
    const { tenant } = span.run.context;
    const call: TransitionSubject = {
      kind: "transition",
      id: span.id,
      agent,
      run,
      ...(session !== undefined && { session }),
      ...(tenant !== undefined && { tenant }),
      at: this.#host.clock.now(),
      from: this.#from(span, agent, config),
    };
    const signal = config?.signal instanceof AbortSignal ? config.signal : undefined;
    const decision = askGate(this.#host, gate, call, signal);
    const proceed = (settled: Awaited<typeof decision>): Promise<void> | undefined => {
      const { verdict } = settled;
      if (verdict.type === "deny") throw denialOf(call, settled);
      return verdict.type === "ask" ? askHuman(gate, call, { ...settled, verdict }, config) : undefined;
    };
    return decision instanceof Promise ? decision.then(proceed) : proceed(decision);
  }

  #from(span: NodeSpan, agent: AgentId, config: ConfigLike | undefined): readonly AgentId[] {
    const before = this.#before(span.parent ?? span.run, agent, span.node.step ?? -1);
    const task = text(config?.configurable?.["__pregel_task_id"]);
    if (task === undefined) return before;
    const known = this.#tasks.get(task);
    if (!known) this.#tasks.set(task, before);
    return known ?? before;
  }

  #before(graph: object, agent: AgentId, step: number): readonly AgentId[] {
    const known = this.#steps.get(graph);
    if (!known) {
      this.#steps.set(graph, { step, agents: new Set([agent]), before: [] });
      return [];
    }
    if (step !== known.step) {
      known.before = [...known.agents];
      known.agents = new Set();
      known.step = step;
    }
    known.agents.add(agent);
    return known.before;
  }
}
