/**
 * Blocks in order of use, as a doubly linked list over typed arrays: every operation takes the same short time. There may be
 * several lists, each block in one of them at most.
 */
export class RecencyList {
  /** Links by block; the last indices are the lists' ends, whose next is the oldest block. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #blockCount: number;

  /** @param blockCount block ids are below this. @param lists their number. */
  constructor(blockCount: number, lists = 1) {
    this.#blockCount = blockCount;
    this.#next = new Int32Array(blockCount + lists).fill(-1);
    this.#previous = new Int32Array(blockCount + lists).fill(-1);
    for (let end = blockCount; end < blockCount + lists; end++) {
      this.#next[end] = end;
      this.#previous[end] = end;
    }
  }

  has(block: number): boolean {
    return this.#next[block] !== -1;
  }

  /** Makes the block the most recent one of a list. */
  use(block: number, list = 0): void {
    this.remove(block);
    const end = this.#blockCount + list;
    const newest = this.#previous[end] as number;
    this.#next[newest] = block;
    this.#previous[block] = newest;
    this.#next[block] = end;
    this.#previous[end] = block;
  }

  /** Uses a prompt's blocks so that its head is the most recent: a prefix is then cut at its tail. */
  usePrompt(blocks: Int32Array): void {
    for (let i = blocks.length - 1; i >= 0; i--) this.use(blocks[i] as number);
  }

  /** Does nothing when the block is in no list. */
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
    return this.oldestOf(0);
  }

  /** The same of a list. */
  oldestOf(list: number): number | undefined {
    const oldest = this.#next[this.#blockCount + list] as number;
    return oldest >= this.#blockCount ? undefined : oldest;
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
    return next >= this.#blockCount || next === -1 ? undefined : next;
  }
}
