/** Anchors of one agent that are told apart. */
const MOST = 32;
/** First calls that count in full; beyond, all counts are halved. */
const WINDOW = 256;

/** One of an agent's anchors. */
export interface AnchorVariant {
  readonly hash: string;
  /** Runs that came with it; old ones count less. */
  visits: number;
  /** Open runs whose latest call of the agent had it. */
  openRuns: number;
  /** How many of those are expected to call the agent at their next step. */
  arrivals: number;
}

/**
 * How often runs come to an agent with which anchor. An anchor that holds a user's name or a date is new for every
 * run, and then keeping it is worth nothing to others.
 */
export class AnchorVariants {
  /** By hash, the least recently used first. */
  readonly #variants = new Map<string, AnchorVariant>();
  #total = 0;
  /** Visits that do not count, of each anchor: see `share`; NaN when it has to be computed anew. */
  #discount = Number.NaN;
  latest = "";

  find(hash: string): AnchorVariant | undefined {
    return this.#variants.get(hash);
  }

  /** A call of the agent has this anchor. */
  used(hash: string): AnchorVariant {
    const variant = this.#variants.get(hash) ?? { hash, visits: 0, openRuns: 0, arrivals: 0 };
    if (hash !== this.latest) this.#variants.delete(hash);
    this.#variants.set(hash, variant);
    this.latest = hash;
    if (this.#variants.size > MOST) {
      const oldest = this.#variants.keys().next().value;
      if (oldest !== undefined) this.#variants.delete(oldest);
    }
    return variant;
  }

  /** What the first call will come with, if there was none yet. */
  declare(hash: string): void {
    if (this.#variants.size === 0) this.used(hash);
  }

  /** The call was the first of its run. */
  visited(variant: AnchorVariant): void {
    variant.visits++;
    this.#total++;
    if (this.#total >= WINDOW) this.#halve();
    this.#discount = Number.NaN;
  }

  /**
   * Share of the runs to come that have this anchor, in [0, 1].
   *
   * Visits less a discount, as in absolute discounting (Ney, Essen and Kneser 1994, https://doi.org/10.1006/csla.1994.1001):
   * where most anchors come once, one that came once is not likely to come again.
   */
  share(variant: AnchorVariant | undefined): number {
    if (!variant) return 0;
    // Declared, and not contradicted yet.
    if (this.#total === 0) return variant.hash === this.latest ? 1 : 0;
    if (Number.isNaN(this.#discount)) this.#discount = this.#absoluteDiscount();
    return Math.max(0, variant.visits - this.#discount) / Math.max(1, this.#total);
  }

  /** n1/(n1 + 2 n2), n1 anchors seen once and n2 seen twice; 1 more below the line leaves a doubt while few were seen. */
  #absoluteDiscount(): number {
    let once = 0;
    let twice = 0;
    for (const { visits } of this.#variants.values())
      if (visits < 1.5) once++;
      else if (visits < 2.5) twice++;
    return once / (once + 2 * twice + 1);
  }

  #halve(): void {
    this.#total /= 2;
    for (const variant of this.#variants.values()) variant.visits /= 2;
  }
}
