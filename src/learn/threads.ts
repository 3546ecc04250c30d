import type { RunId, SessionId } from "../runtime/event.ts";
import type { StepTimes } from "./pace.ts";
import type { RunState } from "./run-state.ts";
import { rounded } from "./state.ts";
import { type Changes, Waits } from "./waits.ts";

/** Threads remembered after their run has ended; the one that ended longest ago goes first. */
const MOST = 1024;
/** Ends that count in full; beyond, old ones are halved. */
const WINDOW = 512;
/** Returns in one end that are taken for granted before anything was seen: most threads of batch jobs never come back. */
const DOUBT = 0.02;
/** Multiples of the time after which a thread is not expected any more for which is told what it is worth. */
const TAIL = [2, 8, 32];

/** A run that has ended on a thread that may go on. */
export interface Paused {
  readonly session: SessionId;
  readonly state: RunState;
  readonly isInterrupted: boolean;
  /** When it was last heard of: of some runs the end is seen only when their thread goes on. */
  readonly since: number;
}

/** `[ends whose thread came back or is not expected any more, those that came back, waits in between]`. */
export type ThreadState = readonly [number, number, string];

/**
 * Threads that return: a run's end is not always its thread's end. A person answers an interrupt, or says the next thing
 * in a chat, and then a new run's prompts begin with what the last one's ended with.
 */
export class Threads {
  readonly #paused = new Map<RunId, Paused>();
  readonly #runs = new Map<SessionId, RunId>();
  readonly #completed = new Returns();
  readonly #interrupted = new Returns();

  /** Remembers a run that ended on a thread; a thread that was paused already starts anew. */
  pause(run: RunId, paused: Paused): void {
    this.#forget(paused.session);
    const oldest = this.#paused.values().next().value;
    if (this.#paused.size >= MOST && oldest) this.#forget(oldest.session);
    this.#paused.set(run, paused);
    this.#runs.set(paused.session, run);
    this.#returns(paused.isInterrupted).await(paused);
  }

  /** The thread goes on: what it left, once. */
  resume(session: SessionId, now: number): Paused | undefined {
    const run = this.#runs.get(session);
    const paused = run === undefined ? undefined : this.#paused.get(run);
    if (!paused) return undefined;
    this.#paused.delete(run as RunId);
    this.#runs.delete(session);
    this.#returns(paused.isInterrupted).came(paused, now);
    return paused;
  }

  /** After completed runs, and after interrupted ones. */
  snapshot(): readonly ThreadState[] {
    return [this.#completed.snapshot(), this.#interrupted.snapshot()];
  }

  /** Forgets what a snapshot has; paused threads stay. */
  take(): void {
    this.#completed.take();
    this.#interrupted.take();
  }

  /** Adds what another process counted. */
  restore(state: readonly ThreadState[]): void {
    for (const [i, returns] of [this.#completed, this.#interrupted].entries())
      if (state[i]) returns.restore(state[i]);
  }

  find(run: RunId): Paused | undefined {
    return this.#paused.get(run);
  }

  /** Probability that a thread comes back after a run that ended this way. */
  probability(isInterrupted: boolean): number {
    return this.#returns(isInterrupted).probability;
  }

  /** Returns to be expected of a paused thread in one step of an average run. @param times undefined: not known yet. */
  rate(
    { isInterrupted, since }: Pick<Paused, "isInterrupted" | "since">,
    now: number,
    times: StepTimes | undefined,
  ): number {
    const returns = this.#returns(isInterrupted);
    return (times && returns.rate(now - since, times)) ?? returns.probability;
  }

  /** How that will change, see `Waits.changes`; empty before any came back. */
  outlook({ isInterrupted, since }: Paused, now: number, times: StepTimes | undefined): Changes {
    return times ? this.#returns(isInterrupted).outlook(now - since, times) : [];
  }

  #returns(isInterrupted: boolean): Returns {
    return isInterrupted ? this.#interrupted : this.#completed;
  }

  #forget(session: SessionId): void {
    const run = this.#runs.get(session);
    const paused = run === undefined ? undefined : this.#paused.get(run);
    if (!paused) return;
    this.#paused.delete(run as RunId);
    this.#runs.delete(session);
    this.#returns(paused.isInterrupted).drop(paused);
  }
}

/** How often threads come back after runs that ended one way, and after how long. */
class Returns {
  #waits = new Waits(Number.POSITIVE_INFINITY);
  /** Threads that are not expected any more. */
  #never = 0;
  /** Those of which it is not known yet, by since when. */
  readonly #awaited = new Set<Paused>();

  get probability(): number {
    const returned = this.#waits.samples;
    return (returned + DOUBT) / (returned + this.#never + 1);
  }

  await(paused: Paused): void {
    this.#expire(paused.since);
    this.#fade();
    this.#awaited.add(paused);
  }

  came(paused: Paused, now: number): void {
    if (!this.#awaited.delete(paused)) this.#never = Math.max(0, this.#never - 1);
    this.#waits.add(now - paused.since);
    this.#expire(now);
    this.#fade();
  }

  /** Nobody will know. */
  drop(paused: Paused): void {
    this.#awaited.delete(paused);
  }

  rate(elapsed: number, { tick, step }: StepTimes): number | undefined {
    return this.#waits.samples === 0 ? undefined : step * this.#waits.rate(elapsed, tick, this.#never);
  }

  outlook(elapsed: number, { tick }: StepTimes): Changes {
    if (this.#waits.samples === 0) return [];
    const rate = (at: number) => this.#waits.rate(at, tick, this.#never);
    const longest = Math.max(elapsed, this.#waits.longest);
    // Nothing else will be said of a thread that does not come back.
    const tail = TAIL.map(
      (times) => [times * longest - elapsed, rate(times * longest) / rate(elapsed)] as const,
    );
    return [...this.#waits.changes(elapsed, rate), ...tail];
  }

  snapshot(): ThreadState {
    const returned = this.#waits.samples;
    return [rounded(returned + this.#never), rounded(returned), this.#waits.snapshot()];
  }

  take(): void {
    this.#waits = new Waits(Number.POSITIVE_INFINITY);
    this.#never = 0;
  }

  restore([ends, returned, waits]: ThreadState): void {
    this.#never += Math.max(0, ends - returned);
    this.#waits.restore(waits);
  }

  #expire(now: number): void {
    const longest = this.#waits.longest;
    for (const paused of this.#awaited) {
      if (now - paused.since <= longest) break;
      this.#awaited.delete(paused);
      this.#never++;
    }
  }

  #fade(): void {
    if (this.#waits.samples + this.#never <= WINDOW) return;
    this.#waits.halve();
    this.#never /= 2;
  }
}
