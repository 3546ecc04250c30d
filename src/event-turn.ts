import type { Event } from "./runtime/event.ts";

/** Events held back at most: an app that makes no model calls for long does not pay for all of them at once. */
const MOST = 64;

/**
 * How long an event may be held back: not at all, until its turn of the event loop is over, or until a later event may not be
 * held back any longer.
 */
export type Patience = "none" | "turn" | "next";

/**
 * Holds events back until their turn of the event loop is over, or somebody asks for what comes of them: what is on its
 * way to a model call does not wait for them, and one decision is made where several events happen at once.
 */
export class EventTurn {
  readonly #take: (events: readonly Event[]) => void;
  #events: Event[] = [];
  /** The end of the turn is waited for. */
  #isDue = false;

  /** @param take takes events in, in the order in which they came. Must not throw. */
  constructor(take: (events: readonly Event[]) => void) {
    this.#take = take;
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
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#take(events);
  }

  readonly #endOfTurn = (): void => {
    this.#isDue = false;
    this.end();
  };
}
