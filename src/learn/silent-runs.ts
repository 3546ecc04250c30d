import type { RunState } from "./run-state.ts";

/**
 * Probability that a run goes on, over what it was when it fell silent (Bayes).
 *
 * @param end probability that the latest call was its last, in [0, 1], as expected then.
 * @param longer share of gaps between two calls that are longer than the silence.
 */
export function aliveAfter(end: number, longer: number): number {
  return end > 0 ? longer / (longer * (1 - end) + end) : 1;
}

/**
 * Runs whose end nobody sees, by how long they have been silent: one that is silent for longer than nearly all gaps between two calls take
 * is over, as far as can be told, and its end can be learned from.
 */
export class SilentRuns {
  /** Silent for longest first. */
  readonly #silent = new Set<RunState>();

  /** The run's last call has been answered, at `state.since`. */
  add(state: RunState): void {
    this.#silent.delete(state);
    this.#silent.add(state);
  }

  /** It calls again, or is known to be over. */
  delete(state: RunState): void {
    this.#silent.delete(state);
  }

  /** One that has been silent for more than so many milliseconds, which is let go of. */
  over(now: number, longest: number): RunState | undefined {
    if (this.#silent.size === 0) return undefined;
    for (const state of this.#silent) {
      if (now - state.since <= longest) return undefined;
      this.#silent.delete(state);
      return state;
    }
    return undefined;
  }
}
