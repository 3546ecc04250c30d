import type { Arrival } from "./cache-policy.ts";

/**
 * Resident blocks of a policy that rates each of them anew whenever the cache is over capacity. Slow and exact: for
 * oracles and baselines, whose ratings all change with every request.
 */
export class ScoredCache {
  readonly #score: (block: number, position: number, usedAt: number) => number;
  readonly #resident: number[] = [];
  /** Index in `#resident` by block; -1 for none. */
  readonly #slots: Int32Array;
  readonly #positions: Int32Array;
  readonly #usedAt: Int32Array;
  #batch: number[] = [];

  /**
   * @param blockCount block ids are below this.
   * @param score the lowest goes first; among equals the one used longest ago, then the one deepest in its prompt.
   */
  constructor(blockCount: number, score: (block: number, position: number, usedAt: number) => number) {
    this.#score = score;
    this.#slots = new Int32Array(blockCount).fill(-1);
    this.#positions = new Int32Array(blockCount);
    this.#usedAt = new Int32Array(blockCount);
  }

  insert({ blocks, index }: Arrival): void {
    this.#batch = [];
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i] as number;
      this.#positions[block] = i;
      this.#usedAt[block] = index;
      if (this.#slots[block] === -1) this.#slots[block] = this.#resident.push(block) - 1;
    }
  }

  /** Takes out the block rated lowest. */
  take(needed: number): number {
    if (this.#batch.length === 0) this.#batch = this.#lowest(needed);
    const block = this.#batch.pop();
    if (block === undefined) throw new Error("the cache is empty");
    const slot = this.#slots[block] as number;
    const last = this.#resident.pop() as number;
    if (last !== block) {
      this.#resident[slot] = last;
      this.#slots[last] = slot;
    }
    this.#slots[block] = -1;
    return block;
  }

  /** The `count` blocks rated lowest, the lowest last: kept in a heap whose top is the best of them. */
  #lowest(count: number): number[] {
    const scores = new Map<number, number>();
    const goesBefore = (a: number, b: number) => {
      // Compared, not subtracted: scores may be infinite.
      const [first, second] = [scores.get(a) as number, scores.get(b) as number];
      if (first !== second) return first < second;
      const age = (this.#usedAt[a] as number) - (this.#usedAt[b] as number);
      return age === 0 ? (this.#positions[a] as number) > (this.#positions[b] as number) : age < 0;
    };
    const heap: number[] = [];
    const sift = (start: number) => {
      const block = heap[start] as number;
      let at = start;
      for (let child = 1; (child = 2 * at + 1) < heap.length;) {
        if (child + 1 < heap.length && goesBefore(heap[child] as number, heap[child + 1] as number)) child++;
        if (!goesBefore(block, heap[child] as number)) break;
        heap[at] = heap[child] as number;
        at = child;
      }
      heap[at] = block;
    };
    let worst = Number.POSITIVE_INFINITY;
    for (const block of this.#resident) {
      const score = this.#score(block, this.#positions[block] as number, this.#usedAt[block] as number);
      if (heap.length === count && score > worst) continue;
      scores.set(block, score);
      if (heap.length < count) {
        heap.push(block);
        if (heap.length === count) for (let i = count >> 1; i >= 0; i--) sift(i);
      } else if (goesBefore(block, heap[0] as number)) {
        heap[0] = block;
        sift(0);
      }
      if (heap.length === count) worst = scores.get(heap[0] as number) as number;
    }
    return heap.toSorted((a, b) => (goesBefore(a, b) ? 1 : -1));
  }
}
