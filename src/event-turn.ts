import { isDecidedAbout } from "./runtime/agent-runtime.ts";
import type { Clock } from "./runtime/clock.ts";
import type { Event } from "./runtime/event.ts";

/** Events held back at most: an app that makes no model calls for long does not pay for all of them at once. */
const MOST = 64;

/**
 * How long an event may be held back: not at all, until its turn of the event loop is over, or until a later event may not be
 * held back any longer.
 */
export type Patience = "none" | "turn" | "next";

/**
 * How long an event may be held back in an app.
 *
 * @param isStrict verdicts or early starts go by all that happened before them. @param isWatched somebody looks on.
 */
export function patienceWith(event: Event, isStrict: boolean, isWatched: boolean): Patience {
  // Prompts are there until their run ends.
  if (event.type === "run-end" || isStrict) return "none";
  return isDecidedAbout(event) || isWatched ? "turn" : "next";
}

/** What happened in one turn. */
interface Turn {
  readonly events: readonly Event[];
  /** Clock time at which it was over; undefined: it is over now. */
  readonly at: number | undefined;
}

/**
 * Holds events back until their turn of the event loop is over, or somebody asks for what comes of them: what is on its
 * way to a model call does not wait for them, and one decision is made where several events happen at once.
 *
 * Where nobody waits for decisions, turns that are over are held back as well, and taken in one after the other: what is
 * done once in a while finds the processor's caches cold, and costs several times as much as when it is done again at once.
 */
export class EventTurn {
  readonly #take: (events: readonly Event[], at?: number) => void;
  readonly #clock: Clock;
  readonly #isAwaited: () => boolean;
  #events: Event[] = [];
  /** Turns that are over, and how many events they hold. */
  readonly #over: Turn[] = [];
  #held = 0;
  /** The end of the turn is waited for. */
  #isDue = false;

  /**
   * @param take takes in the events of one turn, in the order in which they came; `at` is when it was over, where that is not
   * now. Must not throw.
   * @param isAwaited whether somebody waits for what comes of a turn as soon as it is over.
   */
  constructor(take: (events: readonly Event[], at?: number) => void, clock: Clock, isAwaited: () => boolean) {
    this.#take = take;
    this.#clock = clock;
    this.#isAwaited = isAwaited;
  }

  add(event: Event, patience: Patience): void {
    const count = this.#events.push(event);
    if (patience === "none" || count >= MOST) this.end();
    else if (patience === "turn" && !this.#isDue) {
      this.#isDue = true;
      setImmediate(this.#endOfTurn);
    }
  }

  /** Hands on at once what is held back. */
  end(): void {
    this.#close(undefined);
    this.#held = 0;
    // Who is handed a turn may ask for what comes of it.
    for (let turn = this.#over.shift(); turn; turn = this.#over.shift()) this.#take(turn.events, turn.at);
  }

  #close(at: number | undefined): void {
    if (this.#events.length === 0) return;
    this.#held += this.#events.length;
    this.#over.push({ events: this.#events, at });
    this.#events = [];
  }

  readonly #endOfTurn = (): void => {
    this.#isDue = false;
    if (this.#isAwaited()) return this.end();
    this.#close(this.#clock.now());
    if (this.#held >= MOST) this.end();
  };
}
