import { END, START, type AgentId, type TopologyEvent } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import { AGENTS } from "./agents.ts";

/** Declared cycles without a model call are followed this far. */
const MAX_DEPTH = 8;
/**
 * As many as there can be among the agents that are told apart, and from one of them: graphs whose nodes have new names each
 * time make no end of them.
 */
const MAX_EDGES = AGENTS ** 2;
const MAX_AGENTS = 1000;

/**
 * The declared graph as a prior over transitions.
 *
 * Nodes that turn out to make no model call are walked through, so that the prior speaks of the next
 * node that does.
 */
export class StructuralPrior {
  readonly #edges = new Map<AgentId, Map<AgentId, number>>();
  /** By agent, whether any of its activations has called a model. */
  readonly #calls = new Newest<AgentId, boolean>(MAX_AGENTS);
  readonly #walked = new Map<AgentId, ReadonlyMap<AgentId, number>>();
  #edgeCount = 0;
  #version = 0;

  /** Changes whenever the prior does. */
  get version(): number {
    return this.#version;
  }

  declare(topology: TopologyEvent): void {
    for (const { from, to, weight } of topology.edges) {
      if (!(weight > 0)) continue;
      let row = this.#edges.get(from);
      const isNew = row?.has(to) !== true;
      if (isNew && (this.#edgeCount >= MAX_EDGES || (row?.size ?? 0) >= AGENTS)) continue;
      if (isNew) this.#edgeCount++;
      if (!row) this.#edges.set(from, (row = new Map()));
      row.set(to, weight);
    }
    this.#changed();
  }

  /** An activation of this agent ended; did it make a model call? */
  activated(agent: AgentId, called: boolean): void {
    const before = this.#calls.get(agent);
    if (before === true || before === called) return;
    this.#calls.set(agent, called);
    if (before !== undefined || !called) this.#changed();
  }

  /** Declared, activated, and never seen to call a model. */
  isSilent(agent: AgentId): boolean {
    return this.#calls.get(agent) === false;
  }

  /** Probabilities of what follows `agent` by declaration; empty when nothing is declared. Sums to 1. */
  after(agent: AgentId): ReadonlyMap<AgentId, number> {
    const known = this.#walked.get(agent);
    if (known) return known;
    const reached = new Map<AgentId, number>();
    this.#walk(agent, 1, reached, 0);
    const total = [...reached.values()].reduce((sum, weight) => sum + weight, 0);
    for (const [to, weight] of reached) reached.set(to, weight / total);
    this.#walked.set(agent, reached);
    return reached;
  }

  #changed(): void {
    this.#version++;
    this.#walked.clear();
  }

  #walk(from: AgentId, mass: number, reached: Map<AgentId, number>, depth: number): void {
    const row = this.#edges.get(from);
    if (!row || depth > MAX_DEPTH) return;
    let total = 0;
    for (const weight of row.values()) total += weight;
    for (const [to, weight] of row) {
      const share = (mass * weight) / total;
      if (to !== END && to !== START && this.isSilent(to)) this.#walk(to, share, reached, depth + 1);
      else reached.set(to, (reached.get(to) ?? 0) + share);
    }
  }
}
