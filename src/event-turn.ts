import type { Event } from "./runtime/event.ts";

/**
 * Holds events back until their turn of the event loop is over, or somebody asks for what comes of them: what is on its
 * way to a model call does not wait for them, and one decision is made where several events happen at once.
 */
export class EventTurn {
  readonly #take: (events: readonly Event[]) => void;
  #events: Event[] = [];

  /** @param take takes events in, in the order in which they came. Must not throw. */
  constructor(take: (events: readonly Event[]) => void) {
    this.#take = take;
  }

  /** @param isLast the turn ends with this event. */
  add(event: Event, isLast: boolean): void {
    const count = this.#events.push(event);
    if (isLast) this.end();
    else if (count === 1) setImmediate(() => this.end());
  }

  /** Hands on at once what is held back. */
  end(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#take(events);
  }
}
