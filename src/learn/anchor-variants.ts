/** Anchors of one agent that are told apart. */
const MOST = 32;
/** First calls that count in full; beyond, all counts are halved. */
const WINDOW = 256;

/**
 * How often runs come to an agent with which anchor. An anchor that holds a user's name or a date is new for every
 * run, and then keeping it is worth nothing to others.
 */
export class AnchorVariants {
  /** By hash, the least recently used first. */
  readonly #counts = new Map<string, number>();
  #total = 0;
  /** Visits that do not count, of each anchor: see `share`; NaN when it has to be computed anew. */
  #discount = Number.NaN;
  latest = "";

  /** A run's first call of the agent has this anchor. */
  used(hash: string): void {
    const before = this.#counts.get(hash) ?? 0;
    if (hash !== this.latest) this.#counts.delete(hash);
    this.#counts.set(hash, before + 1);
    this.latest = hash;
    this.#total++;
    if (this.#counts.size > MOST) {
      const oldest = this.#counts.keys().next().value;
      if (oldest !== undefined) this.#counts.delete(oldest);
    }
    if (this.#total >= WINDOW) this.#halve();
    this.#discount = Number.NaN;
  }

  /**
   * Share of the runs to come that have this anchor, in [0, 1].
   *
   * Visits less a discount, as in absolute discounting (Ney, Essen and Kneser 1994, https://doi.org/10.1006/csla.1994.1001):
   * where most anchors come once, one that came once is not likely to come again.
   */
  share(hash: string): number {
    if (Number.isNaN(this.#discount)) this.#discount = this.#absoluteDiscount();
    return Math.max(0, (this.#counts.get(hash) ?? 0) - this.#discount) / Math.max(1, this.#total);
  }

  /** n1/(n1 + 2 n2), n1 anchors seen once and n2 seen twice; 1 more below the line leaves a doubt while few were seen. */
  #absoluteDiscount(): number {
    let once = 0;
    let twice = 0;
    for (const count of this.#counts.values())
      if (count < 1.5) once++;
      else if (count < 2.5) twice++;
    return once / (once + 2 * twice + 1);
  }

  #halve(): void {
    this.#total /= 2;
    for (const [key, count] of this.#counts) this.#counts.set(key, count / 2);
  }
}
