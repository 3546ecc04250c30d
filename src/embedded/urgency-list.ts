/** What tells which of two requests goes first. */
export interface Urgency {
  /** Lower goes first. */
  readonly priority: number;
  /** Number of the request in the order in which they came. */
  readonly arrival: number;
}

/** Requests, most urgent first: by priority, and of equal priority first come first. */
export class UrgencyList<T extends Urgency> {
  readonly #items: T[] = [];

  get length(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  get last(): T | undefined {
    return this.#items.at(-1);
  }

  /** A copy: it does not change when the list does. */
  get items(): readonly T[] {
    return Array.from(this.#items);
  }

  has(item: T): boolean {
    return this.#items.includes(item);
  }

  /** Puts a request in its place; one that came before goes where it was. */
  add(item: T): void {
    const place = this.#items.findLastIndex((other) => compare(other, item) <= 0);
    this.#items.splice(place + 1, 0, item);
  }

  delete(item: T): void {
    const place = this.#items.indexOf(item);
    if (place >= 0) this.#items.splice(place, 1);
  }
}

function compare(one: Urgency, other: Urgency): number {
  return one.priority - other.priority || one.arrival - other.arrival;
}
