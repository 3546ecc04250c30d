/**
 * How many distinct blocks were touched since a block's last touch: a Fenwick tree over touches marks each block's latest.
 * Source: Bennett and Kruskal 1975, https://doi.org/10.1147/rd.194.0353
 */
export class StackDistance {
  readonly #latest: Int32Array;
  readonly #tree: Int32Array;
  readonly #size: number;
  #now = 0;

  /** @param blockCount block ids are below this. */
  constructor(blockCount: number) {
    this.#size = 2 * blockCount + 2;
    this.#latest = new Int32Array(blockCount).fill(-1);
    this.#tree = new Int32Array(this.#size + 1);
  }

  /** Distinct blocks since this one's last touch; undefined at its first. */
  touch(block: number): number | undefined {
    if (this.#now === this.#size) this.#compact();
    const before = this.#latest[block] as number;
    const distance = before < 0 ? undefined : this.#count(this.#now) - this.#count(before + 1);
    if (before >= 0) this.#add(before, -1);
    this.#add(this.#now, 1);
    this.#latest[block] = this.#now++;
    return distance;
  }

  /** Marks among the touches before this one. */
  #count(end: number): number {
    let sum = 0;
    for (let at = end; at > 0; at -= at & -at) sum += this.#tree[at] as number;
    return sum;
  }

  #add(touch: number, change: number): void {
    for (let at = touch + 1; at <= this.#size; at += at & -at)
      this.#tree[at] = (this.#tree[at] as number) + change;
  }

  /** Renumbers the latest touches from 0, in their order, so that the tree never outgrows the blocks. */
  #compact(): void {
    const blocks = new Int32Array(this.#size).fill(-1);
    for (const [block, latest] of this.#latest.entries()) if (latest >= 0) blocks[latest] = block;
    this.#tree.fill(0);
    this.#now = 0;
    for (const block of blocks)
      if (block >= 0) {
        this.#add(this.#now, 1);
        this.#latest[block] = this.#now++;
      }
  }
}
