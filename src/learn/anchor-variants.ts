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
  latest = "";

  /** A run's first call of the agent has this anchor. */
  used(hash: string): void {
    const before = this.#counts.get(hash) ?? 0;
    this.#counts.delete(hash);
    this.#counts.set(hash, before + 1);
    this.latest = hash;
    this.#total++;
    if (this.#counts.size > MOST) {
      const oldest = this.#counts.keys().next().value;
      if (oldest !== undefined) this.#counts.delete(oldest);
    }
    if (this.#total < WINDOW) return;
    this.#total /= 2;
    for (const [key, count] of this.#counts) this.#counts.set(key, count / 2);
  }

  /** Share of the runs that come with it, in [0, 1]; leans on 1 with the weight of one run. */
  share(hash: string): number {
    return ((this.#counts.get(hash) ?? 0) + 1) / (this.#total + 1);
  }
}
