import { END, START, type AgentId, type TopologyEvent } from "../runtime/event.ts";

/** Declared cycles without a model call are followed this far. */
const MAX_DEPTH = 8;

/**
 * The declared graph as a prior over transitions.
 *
 * Nodes that turn out to make no model call are walked through, so that the prior speaks of the next
 * node that does.
 */
export class StructuralPrior {
  readonly #edges = new Map<AgentId, Map<AgentId, number>>();
  readonly #silent = new Set<AgentId>();
  readonly #calls = new Set<AgentId>();
  readonly #walked = new Map<AgentId, ReadonlyMap<AgentId, number>>();
  #version = 0;

  /** Changes whenever the prior does. */
  get version(): number {
    return this.#version;
  }

  declare(topology: TopologyEvent): void {
    for (const { from, to, weight } of topology.edges) {
      if (!(weight > 0)) continue;
      let row = this.#edges.get(from);
      if (!row) this.#edges.set(from, (row = new Map()));
      row.set(to, weight);
    }
    this.#changed();
  }

  /** An activation of this agent ended; did it make a model call? */
  activated(agent: AgentId, called: boolean): void {
    if (called) {
      this.#calls.add(agent);
      if (this.#silent.delete(agent)) this.#changed();
    } else if (!this.#calls.has(agent) && !this.#silent.has(agent)) {
      this.#silent.add(agent);
      this.#changed();
    }
  }

  /** Declared, activated, and never seen to call a model. */
  isSilent(agent: AgentId): boolean {
    return this.#silent.has(agent);
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
      if (to !== END && to !== START && this.#silent.has(to)) this.#walk(to, share, reached, depth + 1);
      else reached.set(to, (reached.get(to) ?? 0) + share);
    }
  }
}
