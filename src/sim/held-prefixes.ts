import { RecencyList } from "./recency-list.ts";

/** A prefix that holds blocks in cache: those of one prompt, from its start up to where its tail was given up. */
export interface HeldPrefix {
  readonly blocks: Int32Array;
  /** Blocks still held. */
  length: number;
  /** Number of the request that used it last. */
  usedAt: number;
  /** Value of its last held block; the lowest in the cache is given up first. */
  value: number;
  /** Index in the heap, -1 outside. */
  slot: number;
}

/**
 * Which prefixes want which blocks. A block is worth what the most valuable of its prefixes is; a prefix gives blocks up from
 * its tail, so that it is never cut at its head; blocks that none holds any more go first, least recently used first.
 */
export class HeldPrefixes {
  /** By block: how many prefixes hold it. */
  readonly #holders: Int32Array;
  readonly #free: RecencyList;
  /** Heap by value; among equals the one used longest ago on top. */
  readonly #heap: HeldPrefix[] = [];
  readonly #tailValue: (prefix: HeldPrefix) => number;

  /** @param tailValue value of a prefix's last held block. */
  constructor(blockCount: number, tailValue: (prefix: HeldPrefix) => number) {
    this.#holders = new Int32Array(blockCount);
    this.#free = new RecencyList(blockCount);
    this.#tailValue = tailValue;
  }

  /** Holds the blocks of a prompt, all of which are resident. */
  hold(blocks: Int32Array, usedAt: number): HeldPrefix {
    const prefix: HeldPrefix = { blocks, length: blocks.length, usedAt, value: 0, slot: -1 };
    for (const block of blocks) if (this.#take(block)) this.#free.remove(block);
    if (prefix.length === 0) return prefix;
    prefix.value = this.#tailValue(prefix);
    prefix.slot = this.#heap.push(prefix) - 1;
    this.#up(prefix.slot);
    return prefix;
  }

  /** Lets go of all that a prefix still holds. */
  release(prefix: HeldPrefix): void {
    for (let at = prefix.length - 1; at >= 0; at--) this.#drop(prefix.blocks[at] as number);
    prefix.length = 0;
    this.#remove(prefix);
  }

  /** Puts a prefix in its place after its value may have changed. */
  revalue(prefix: HeldPrefix): void {
    if (prefix.slot < 0) return;
    const value = this.#tailValue(prefix);
    if (value === prefix.value) return;
    const rises = value > prefix.value;
    prefix.value = value;
    if (rises) this.#down(prefix.slot);
    else this.#up(prefix.slot);
  }

  /** A resident block that nobody holds, or the last block of the least valuable prefix. Throws when there is none. */
  victim(): number {
    for (;;) {
      const { oldest } = this.#free;
      if (oldest !== undefined) {
        this.#free.remove(oldest);
        return oldest;
      }
      const prefix = this.#heap[0];
      if (!prefix) throw new Error("no block is in the cache");
      prefix.length--;
      this.#drop(prefix.blocks[prefix.length] as number);
      if (prefix.length === 0) this.#remove(prefix);
      else this.revalue(prefix);
    }
  }

  /** Throws unless the holders counted are those of the prefixes held. */
  check(isResident: (block: number) => boolean): void {
    const counted = new Int32Array(this.#holders.length);
    for (const { blocks, length } of this.#heap)
      for (let at = 0; at < length; at++)
        counted[blocks[at] as number] = (counted[blocks[at] as number] ?? 0) + 1;
    for (let block = 0; block < counted.length; block++) {
      if (counted[block] !== this.#holders[block])
        throw new Error(`block ${block} has ${counted[block]} holders, counted ${this.#holders[block]}`);
      if (isResident(block) !== ((counted[block] as number) > 0 || this.#free.has(block)))
        throw new Error(
          `block ${block} is ${isResident(block) ? "" : "not "}in cache, but its holders say otherwise`,
        );
    }
  }

  /** @returns whether the block was free before. */
  #take(block: number): boolean {
    const before = this.#holders[block] as number;
    this.#holders[block] = before + 1;
    return before === 0 && this.#free.has(block);
  }

  #drop(block: number): void {
    const left = (this.#holders[block] as number) - 1;
    this.#holders[block] = left;
    if (left === 0) this.#free.use(block);
  }

  #remove(prefix: HeldPrefix): void {
    const { slot } = prefix;
    if (slot < 0) return;
    prefix.slot = -1;
    const last = this.#heap.pop();
    if (!last || last === prefix) return;
    this.#heap[slot] = last;
    last.slot = slot;
    this.#up(slot);
    this.#down(last.slot);
  }

  #isBefore(a: HeldPrefix, b: HeldPrefix): boolean {
    return a.value < b.value || (a.value === b.value && a.usedAt < b.usedAt);
  }

  #up(from: number): void {
    let at = from;
    const prefix = this.#heap[at] as HeldPrefix;
    while (at > 0) {
      const parent = this.#heap[(at - 1) >> 1] as HeldPrefix;
      if (!this.#isBefore(prefix, parent)) break;
      this.#place(parent, at);
      at = (at - 1) >> 1;
    }
    this.#place(prefix, at);
  }

  #down(from: number): void {
    let at = from;
    const prefix = this.#heap[at] as HeldPrefix;
    for (let child = 2 * at + 1; child < this.#heap.length; child = 2 * at + 1) {
      const right = this.#heap[child + 1];
      if (right && this.#isBefore(right, this.#heap[child] as HeldPrefix)) child++;
      const first = this.#heap[child] as HeldPrefix;
      if (!this.#isBefore(first, prefix)) break;
      this.#place(first, at);
      at = child;
    }
    this.#place(prefix, at);
  }

  #place(prefix: HeldPrefix, at: number): void {
    this.#heap[at] = prefix;
    prefix.slot = at;
  }
}
