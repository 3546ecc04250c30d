import type { RunId, SessionId } from "../runtime/event.ts";
import type { RunState } from "./run-state.ts";
import { rounded } from "./state.ts";
import { Waits } from "./waits.ts";

/** Threads remembered after their run has ended; the one that ended longest ago goes first. */
const MOST = 1024;
/** Ends that count in full; beyond, old ones are halved. */
const WINDOW = 512;
/** Returns that are taken for granted before anything was seen: most threads of batch jobs never come back. */
const DOUBT = 0.02;

/** A run that has ended on a thread that may go on. */
export interface Paused {
  readonly session: SessionId;
  readonly state: RunState;
  readonly isInterrupted: boolean;
  readonly since: number;
}

/** How often threads come back after runs that ended one way, and after how long. */
interface Returns {
  ends: number;
  returned: number;
  readonly waits: Waits;
}

/** `[ends, returned, waits in between]`. */
export type ThreadState = readonly [number, number, string];

/**
 * Threads that return: a run's end is not always its thread's end. A person answers an interrupt, or says the next thing
 * in a chat, and then a new run's prompts begin with what the last one's ended with.
 */
export class Threads {
  readonly #paused = new Map<RunId, Paused>();
  readonly #runs = new Map<SessionId, RunId>();
  #completed: Returns = { ends: 0, returned: 0, waits: new Waits() };
  #interrupted: Returns = { ends: 0, returned: 0, waits: new Waits() };

  /** Remembers a run that ended on a thread; a thread that was paused already starts anew. */
  pause(run: RunId, paused: Paused): void {
    this.#forget(paused.session);
    const oldest = this.#paused.values().next().value;
    if (this.#paused.size >= MOST && oldest) this.#forget(oldest.session);
    this.#paused.set(run, paused);
    this.#runs.set(paused.session, run);
    const returns = this.#returns(paused);
    if (returns.ends >= WINDOW) {
      returns.ends /= 2;
      returns.returned /= 2;
    }
    returns.ends++;
  }

  /** The thread goes on: what it left, once. */
  resume(session: SessionId, now: number): Paused | undefined {
    const run = this.#runs.get(session);
    const paused = run === undefined ? undefined : this.#paused.get(run);
    if (!paused) return undefined;
    this.#forget(session);
    const returns = this.#returns(paused);
    returns.returned++;
    returns.waits.add(now - paused.since);
    return paused;
  }

  /** After completed runs, and after interrupted ones. */
  snapshot(): readonly ThreadState[] {
    return [this.#completed, this.#interrupted].map(
      ({ ends, returned, waits }) => [rounded(ends), rounded(returned), waits.snapshot()] as const,
    );
  }

  /** Forgets what a snapshot has; paused threads stay. */
  take(): void {
    this.#completed = { ends: 0, returned: 0, waits: new Waits() };
    this.#interrupted = { ends: 0, returned: 0, waits: new Waits() };
  }

  /** Adds what another process counted. */
  restore(state: readonly ThreadState[]): void {
    for (const [i, returns] of [this.#completed, this.#interrupted].entries()) {
      const [ends = 0, returned = 0, waits = ""] = state[i] ?? [];
      returns.ends += ends;
      returns.returned += returned;
      returns.waits.restore(waits);
    }
  }

  find(run: RunId): Paused | undefined {
    return this.#paused.get(run);
  }

  /** Probability that a thread comes back after a run that ended this way. */
  probability(isInterrupted: boolean): number {
    const { ends, returned } = isInterrupted ? this.#interrupted : this.#completed;
    return Math.min(1, (returned + DOUBT) / (ends + DOUBT));
  }

  /** Returns per millisecond to be expected of a paused thread, see `Waits.rate`; undefined before any came back. */
  rate(paused: Paused, now: number, tick: number): number | undefined {
    const { returned, waits } = this.#returns(paused);
    if (returned === 0) return undefined;
    return this.probability(paused.isInterrupted) * waits.rate(now - paused.since, tick);
  }

  #returns({ isInterrupted }: Paused): Returns {
    return isInterrupted ? this.#interrupted : this.#completed;
  }

  #forget(session: SessionId): void {
    const run = this.#runs.get(session);
    if (run === undefined) return;
    this.#paused.delete(run);
    this.#runs.delete(session);
  }
}
