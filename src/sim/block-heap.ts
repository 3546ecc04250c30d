interface Entry {
  readonly block: number;
  readonly key: number;
  readonly tie: number;
}

/** Entries from which on stale ones are swept out. */
const SWEEP_FROM = 1024;

/** A heap of blocks by key with lazy deletion: `set` replaces a block's key, the stale entry is skipped when met. */
export class BlockHeap {
  #heap: Entry[] = [];
  #sweepAt = SWEEP_FROM;
  readonly #keys: Float64Array;
  readonly #ties: Float64Array;

  /** @param blockCount block ids are below this. */
  constructor(blockCount: number) {
    this.#keys = new Float64Array(blockCount).fill(Number.NaN);
    this.#ties = new Float64Array(blockCount);
  }

  /** @param key the largest is taken first. @param tie of equal keys the larger one first. */
  set(block: number, key: number, tie: number): void {
    if (this.#keys[block] === key && this.#ties[block] === tie) return;
    this.#keys[block] = key;
    this.#ties[block] = tie;
    this.#up(this.#heap.push({ block, key, tie }) - 1);
    if (this.#heap.length >= this.#sweepAt) this.#sweep();
  }

  /** Takes out the block of the largest key. Throws when there is none. */
  take(): number {
    for (;;) {
      const top = this.#heap[0];
      if (!top) throw new Error("no block is in the heap");
      const last = this.#heap.pop();
      if (last && this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#down(0);
      }
      if (this.#isStale(top)) continue;
      this.#keys[top.block] = Number.NaN;
      return top.block;
    }
  }

  #isStale({ block, key, tie }: Entry): boolean {
    return this.#keys[block] !== key || this.#ties[block] !== tie;
  }

  /** Stale entries with small keys never come to the top: without this the heap grows with every use. */
  #sweep(): void {
    this.#heap = this.#heap.filter((entry) => !this.#isStale(entry));
    for (let at = this.#heap.length >> 1; at >= 0; at--) this.#down(at);
    this.#sweepAt = Math.max(SWEEP_FROM, 2 * this.#heap.length);
  }

  #isBefore(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (!x || !y) return false;
    return x.key > y.key || (x.key === y.key && x.tie > y.tie);
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x && y) [this.#heap[a], this.#heap[b]] = [y, x];
  }

  #up(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(from: number): void {
    for (let at = from; ;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (this.#isBefore(child, first)) first = child;
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }
}
