import type { Batch, StoredCounts } from "./store.ts";

/** Counts a store holds; when there are more, all are halved and what was seen once goes. */
export const MOST_COUNTS = 16_384;
/** Writers whose last batch is remembered. */
const MOST_WRITERS = 1024;

/** Totals as JSON. */
export interface TotalsState {
  readonly epoch: string;
  readonly changes: number;
  readonly writers: readonly (readonly [writer: string, sequence: number])[];
  readonly counts: readonly (readonly [name: string, count: number])[];
}

/** The totals of one namespace, for stores that add up themselves. */
export class Totals {
  readonly #newEpoch: () => string;
  readonly #counts: Map<string, number>;
  readonly #writers: Map<string, number>;
  #epoch: string;
  #changes: number;

  /** @param newEpoch gives a name that was never given before. */
  constructor(newEpoch: () => string, saved?: TotalsState) {
    this.#newEpoch = newEpoch;
    this.#counts = new Map(saved?.counts);
    this.#writers = new Map(saved?.writers);
    this.#epoch = saved?.epoch ?? newEpoch();
    this.#changes = saved?.changes ?? 0;
  }

  /** Adds a batch; false when it had arrived already. */
  add({ writer, sequence, counts }: Batch): boolean {
    if ((this.#writers.get(writer) ?? 0) >= sequence) return false;
    this.#writers.delete(writer);
    this.#writers.set(writer, sequence);
    const oldest = this.#writers.keys().next().value;
    if (this.#writers.size > MOST_WRITERS && oldest !== undefined) this.#writers.delete(oldest);
    for (const [name, count] of counts) this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
    if (this.#counts.size > MOST_COUNTS) this.#age();
    this.#changes++;
    return true;
  }

  /** All totals; undefined when they are still those of this version. */
  read(known?: string): StoredCounts | undefined {
    const version = `${this.#epoch}:${this.#changes}`;
    return version === known ? undefined : { version, epoch: this.#epoch, counts: new Map(this.#counts) };
  }

  reset(): void {
    this.#counts.clear();
    this.#writers.clear();
    this.#epoch = this.#newEpoch();
    this.#changes++;
  }

  state(): TotalsState {
    return {
      epoch: this.#epoch,
      changes: this.#changes,
      writers: [...this.#writers],
      counts: [...this.#counts],
    };
  }

  #age(): void {
    for (const [name, count] of this.#counts)
      if (count < 2) this.#counts.delete(name);
      else this.#counts.set(name, count / 2);
    this.#epoch = this.#newEpoch();
  }
}
