import { z } from "zod";
import {
  type AgentId,
  END,
  type Event,
  type RequestStartEvent,
  type RunId,
  type TopologyEvent,
} from "../runtime/event.ts";

export const remainingState = z.array(z.tuple([z.string(), z.number().positive(), z.int().positive()]));

/** Steps that are remembered of an agent: older ones fade. */
const MEMORY = 64;
const MAX_AGENTS = 1000;
/** Rounds in which lengths spread over a declared graph: longer paths, and loops, count as about so long. */
const ROUNDS = 32;
const MAX_RUNS = 10_000;

interface Remaining {
  calls: number;
  seen: number;
}

/** Where a run is: the agents of its latest superstep, which all follow those of the one before. */
interface Place {
  agents: readonly AgentId[];
  from: readonly AgentId[];
  superstep: number | undefined;
  around: string;
}

/**
 * Expected model calls from an agent's call to the end of its run, that call included, along the path that goes through it: agents
 * at work at the same time do not follow each other. From the declared graph at first, then by temporal differences, each call
 * of a successor telling what was left for who came before it (Sutton 1988, https://doi.org/10.1007/BF00115009).
 */
export class RemainingCalls {
  readonly #agents = new Map<AgentId, Remaining>();
  readonly #places = new Map<RunId, Place>();

  observe(event: Event): void {
    if (event.type === "request-start") this.#called(event);
    else if (event.type === "topology") this.#declare(event);
    else if (event.type === "run-end") {
      const place = this.#places.get(event.run);
      this.#places.delete(event.run);
      if (place && event.status === "completed") for (const agent of place.agents) this.#learn(agent, 0);
    }
  }

  /** At least 1. */
  of(agent: AgentId): number {
    return this.#agents.get(agent)?.calls ?? 1;
  }

  snapshot(): z.output<typeof remainingState> {
    return [...this.#agents].map(([agent, { calls, seen }]) => [agent, calls, seen]);
  }

  restore(state: z.output<typeof remainingState>): void {
    for (const [agent, calls, seen] of state) this.#agents.set(agent, { calls, seen });
  }

  #called({ run, agent, namespace, step }: RequestStartEvent): void {
    const around = namespace.slice(0, Math.max(0, namespace.lastIndexOf("|")));
    let place = this.#places.get(run);
    if (!place) {
      const oldest = this.#places.keys().next().value;
      if (this.#places.size >= MAX_RUNS && oldest !== undefined) this.#places.delete(oldest);
      this.#places.set(run, (place = { agents: [agent], from: [], superstep: step, around }));
    } else if (place.agents.includes(agent)) return this.#learn(agent, this.of(agent));
    else if (step !== undefined && step === place.superstep && around === place.around)
      place.agents = [...place.agents, agent];
    else {
      place.from = place.agents;
      place.agents = [agent];
      place.superstep = step;
      place.around = around;
    }
    for (const before of place.from) this.#learn(before, this.of(agent));
  }

  /** @param rest calls that were left after one of this agent. */
  #learn(agent: AgentId, rest: number): void {
    let known = this.#agents.get(agent);
    if (!known) {
      if (this.#agents.size >= MAX_AGENTS) return;
      this.#agents.set(agent, (known = { calls: 1, seen: 0 }));
    }
    known.seen = Math.min(MEMORY, known.seen + 1);
    known.calls += (1 + rest - known.calls) / known.seen;
  }

  /** What is declared counts as one call; of branches at once the longest, of those that exclude each other their mean. */
  #declare({ agents, edges }: TopologyEvent): void {
    const calls = new Map(agents.map((agent) => [agent, 1]));
    const rounds = Math.min(ROUNDS, agents.length);
    for (let round = 0; round < rounds; round++) {
      const together = new Map<AgentId, number>();
      const either = new Map<AgentId, number>();
      for (const { from, to, weight } of edges) {
        const left = to === END ? 0 : (calls.get(to) ?? 0);
        if (weight >= 1) together.set(from, Math.max(together.get(from) ?? 0, left));
        else either.set(from, (either.get(from) ?? 0) + weight * left);
      }
      for (const agent of agents)
        calls.set(agent, 1 + Math.max(together.get(agent) ?? 0, either.get(agent) ?? 0));
    }
    for (const [agent, left] of calls)
      if (!this.#agents.has(agent) && this.#agents.size < MAX_AGENTS)
        this.#agents.set(agent, { calls: left, seen: 1 });
  }
}
