import { nowhere, type ReturnTimes } from "./return-times.ts";
import type { RunState } from "./run-state.ts";

/** Steps of an absence from which is learned; they lie evenly spread. */
const LESSONS = 4;
/** Multiples of the golden ratio lie evenly in [0, 1) when their whole part is left out (Weyl 1910). */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Who was away, and the step of its latest call. */
interface Absent {
  readonly agent: number;
  readonly since: number;
}

/**
 * Teaches return times what was to be expected at each step of an agent's absence, once it is over. Of a long absence every
 * n-th step teaches, for n of them, so that what is learned of one costs the same short time always.
 */
export class Lessons {
  readonly #place = nowhere();
  #phase = 0;

  /** The agent calls again, with the step after the run's latest. */
  returned(returns: ReturnTimes, state: RunState, { agent, since }: Absent): void {
    const first = state.rememberedSince(since);
    const stride = strideOf(state, first);
    for (let at = state.step - this.#offset(stride); at >= first; at -= stride)
      returns.returned(state.look(agent, at, this.#place, since), state.step + 1 - at, stride);
  }

  /** The run has ended, and the agent has not called again. */
  ended(returns: ReturnTimes, state: RunState, { agent, since }: Absent): void {
    const first = state.rememberedSince(since);
    const stride = strideOf(state, first);
    for (let at = state.step - this.#offset(stride); at >= first; at -= stride)
      returns.ended(state.look(agent, at, this.#place, since), stride);
  }

  /** Which of the last `stride` steps teaches: each as often as any other, and not in step with what a workload repeats. */
  #offset(stride: number): number {
    this.#phase = (this.#phase + GOLDEN) % 1;
    return Math.floor(this.#phase * stride);
  }
}

function strideOf(state: RunState, first: number): number {
  return Math.ceil((state.step + 1 - first) / LESSONS);
}
