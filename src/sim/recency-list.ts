/** Blocks in order of use, as a doubly linked list over typed arrays: every operation takes the same short time. */
export class RecencyList {
  /** Links by block; the last index is the list's end, whose next is the oldest block. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #end: number;

  /** @param blockCount block ids are below this. */
  constructor(blockCount: number) {
    this.#end = blockCount;
    this.#next = new Int32Array(blockCount + 1).fill(-1);
    this.#previous = new Int32Array(blockCount + 1).fill(-1);
    this.#next[blockCount] = blockCount;
    this.#previous[blockCount] = blockCount;
  }

  has(block: number): boolean {
    return this.#next[block] !== -1;
  }

  /** Makes the block the most recent one. */
  use(block: number): void {
    this.remove(block);
    const newest = this.#previous[this.#end] as number;
    this.#next[newest] = block;
    this.#previous[block] = newest;
    this.#next[block] = this.#end;
    this.#previous[this.#end] = block;
  }

  /** Uses a prompt's blocks so that its head is the most recent: a prefix is then cut at its tail. */
  usePrompt(blocks: Int32Array): void {
    for (let i = blocks.length - 1; i >= 0; i--) this.use(blocks[i] as number);
  }

  /** Does nothing when the block is not in the list. */
  remove(block: number): void {
    if (!this.has(block)) return;
    const next = this.#next[block] as number;
    const previous = this.#previous[block] as number;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#next[block] = -1;
  }

  /** The block that was used longest ago; undefined when empty. */
  get oldest(): number | undefined {
    const oldest = this.#next[this.#end] as number;
    return oldest === this.#end ? undefined : oldest;
  }

  /** Takes the oldest block out. Throws when there is none. */
  takeOldest(): number {
    const { oldest } = this;
    if (oldest === undefined) throw new Error("no block is in the list");
    this.remove(oldest);
    return oldest;
  }

  /** The block used next after this one; undefined at the newest, and for a block that is not in the list. */
  newer(block: number): number | undefined {
    const next = this.#next[block] as number;
    return next === this.#end || next === -1 ? undefined : next;
  }
}
