import { BUCKETS } from "./horizon.ts";
import { nowhere, type ReturnTimes } from "./return-times.ts";
import type { RunState } from "./run-state.ts";

/** Return times of one agent of a run, computed once until something happens: it may be asked for at several places of its prompt. */
export class ExpectedReturns {
  readonly #distribution = new Float64Array(BUCKETS);
  readonly #place = nowhere();
  #run: RunState | undefined;
  #agent = 0;

  /** Something has happened. */
  forget(): void {
    this.#run = undefined;
  }

  /** Probability of each bucket, until this is asked again. @param state of which the probabilities are up to date. */
  of(returns: ReturnTimes, state: RunState, agent: number): Float64Array {
    const distribution = this.#distribution;
    if (state === this.#run && agent === this.#agent) return distribution;
    this.#run = state;
    this.#agent = agent;
    const next = state.probabilities[agent] as number;
    returns.distribution(state.look(agent, state.step, this.#place), next, distribution);
    if (!state.exact) return distribution;
    const first = distribution[0] as number;
    const rest = first === 1 ? 0 : (1 - next) / (1 - first);
    for (let bucket = 1; bucket < BUCKETS; bucket++)
      distribution[bucket] = (distribution[bucket] as number) * rest;
    distribution[0] = next;
    return distribution;
  }
}
