/** Marsaglia's 32-bit xorshift: millions of weights a second from a seed, the same on every machine. */
export class Xorshift {
  #state: number;

  constructor(seed: number) {
    // Zero is the generator's fixed point; the multiplication spreads small seeds.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
  }

  /** Next integer in [0, 2^32). */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (this.#state = state >>> 0);
  }

  /** Next integer in [0, limit). */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** Next number in [0, 1). */
  unit(): number {
    return this.next() / 2 ** 32;
  }
}
