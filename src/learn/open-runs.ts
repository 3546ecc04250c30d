import type { RunId } from "../runtime/event.ts";
import { RunState } from "./run-state.ts";

/** Open runs kept; runs whose end is never seen leave oldest first. */
const MOST = 10_000;

/** The states of open runs, by id. Of one run several things are asked in a row, so that the last one is at hand. */
export class OpenRuns {
  readonly #states = new Map<RunId, RunState>();
  /** Ended runs whose prefixes a later run of their thread has taken over, by that run's state. */
  readonly #heirs = new Map<RunId, RunState>();
  readonly #onDrop: (state: RunState) => void;
  #latest: RunState | undefined;
  #latestRun: RunId = "";

  /** @param onDrop told of a run that had to leave. */
  constructor(onDrop: (state: RunState) => void) {
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#states.size;
  }

  get(run: RunId): RunState | undefined {
    if (this.#latest && run === this.#latestRun) return this.#latest;
    const state = this.#states.get(run);
    if (state) this.#remember(run, state);
    return state;
  }

  /** The state of a run, begun where it is not open yet. */
  open(run: RunId): RunState {
    const known = this.get(run);
    if (known) return known;
    if (this.#states.size >= MOST) this.#dropOldest();
    const state = new RunState();
    this.#states.set(run, state);
    this.#remember(run, state);
    return state;
  }

  /** The state of an open run, or of the one that has taken an ended run's prefixes over. */
  holder(run: RunId): RunState | undefined {
    return this.get(run) ?? this.#heirs.get(run);
  }

  /** An open run has taken over what it inherits. */
  inherit(state: RunState): void {
    for (const earlier of state.inherits) this.#heirs.set(earlier, state);
  }

  close(run: RunId): void {
    for (const earlier of this.#states.get(run)?.inherits ?? []) this.#heirs.delete(earlier);
    this.#states.delete(run);
    if (run === this.#latestRun) this.#latest = undefined;
  }

  #remember(run: RunId, state: RunState): void {
    this.#latest = state;
    this.#latestRun = run;
  }

  #dropOldest(): void {
    for (const [run, state] of this.#states) {
      this.close(run);
      return this.#onDrop(state);
    }
  }
}
