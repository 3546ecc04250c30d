import type { UnheldBlocks } from "./unheld-blocks.ts";

/** What is worth least goes first, among equals what was used longest ago. */
interface Worth {
  /** In [0, 1]. */
  readonly value: number;
  /** Number of the request that used it last. */
  readonly usedAt: number;
}

/** A prefix that holds blocks in cache: those of one prompt, from its start up to where its tail was given up. */
export interface HeldPrefix {
  readonly blocks: Int32Array;
  /** Blocks at its start that every prompt of the agent has. */
  readonly common: number;
  /** Blocks still held. */
  length: number;
  /** Number of the request that used it last. */
  readonly usedAt: number;
  /** Value of its last held block; the lowest in the cache is given up first. */
  value: number;
  /** The value stands as long as so many blocks are held. */
  steadyTo: number;
  /** After how many prompts it was rated. */
  ratedAfter: number;
  /** Prefixes that held its last block then, itself included. */
  holders: number;
  /** Index in the heap, -1 outside. */
  slot: number;
}

/**
 * Which prefixes want which blocks. A block is worth what the most valuable of its prefixes is; a prefix gives blocks up from
 * its tail, so that it is never cut at its head. Blocks that none holds any more are worth what other runs make of them.
 */
export class HeldPrefixes<Prefix extends HeldPrefix> {
  /** By block: how many prefixes hold it. */
  readonly #holders: Int32Array;
  readonly #unheld: UnheldBlocks;
  /** Heap by value; among equals the one used longest ago on top. */
  readonly #heap: Prefix[] = [];
  readonly #rate: (prefix: Prefix) => void;
  #prompts = 0;

  /** @param unheld takes blocks that no prefix holds any more. @param rate sets a prefix's value and how far it stands. */
  constructor(blockCount: number, unheld: UnheldBlocks, rate: (prefix: Prefix) => void) {
    this.#holders = new Int32Array(blockCount);
    this.#unheld = unheld;
    this.#rate = rate;
  }

  /** Holds the first `length` blocks of a prompt, all of which are resident. @param earlier is let go of instead. */
  hold(prefix: Prefix, earlier?: Prefix): void {
    this.#prompts++;
    const { blocks, length } = prefix;
    const common = earlier ? Math.min(earlier.length, length, commonLength(earlier.blocks, blocks)) : 0;
    for (let at = common; at < length; at++) this.#take(blocks[at] as number);
    if (earlier) this.#release(earlier, common);
    if (length === 0) return;
    this.#rated(prefix);
    prefix.slot = this.#heap.push(prefix) - 1;
    this.#up(prefix.slot);
  }

  /** Lets go of all that a prefix still holds. */
  release(prefix: Prefix): void {
    this.#release(prefix, 0);
  }

  /** Puts a prefix in its place after its value may have changed. */
  revalue(prefix: Prefix): void {
    if (prefix.slot < 0) return;
    const before = prefix.value;
    this.#rated(prefix);
    if (prefix.value > before) this.#down(prefix.slot);
    else if (prefix.value < before) this.#up(prefix.slot);
  }

  /** Value of what would go first; infinite when no block is resident. */
  get least(): number {
    const { least } = this.#unheld;
    return Math.min(
      least?.value ?? Number.POSITIVE_INFINITY,
      this.#heap[0]?.value ?? Number.POSITIVE_INFINITY,
    );
  }

  /** What a prefix would be worth if so many of its blocks were held. */
  worthAt(prefix: Prefix, length: number): number {
    const { length: held, value, steadyTo, holders } = prefix;
    prefix.length = length;
    prefix.holders = 1 + (this.#holders[prefix.blocks[length - 1] as number] as number);
    this.#rate(prefix);
    const worth = prefix.value;
    Object.assign(prefix, { length: held, value, steadyTo, holders });
    return worth;
  }

  /** Holds more of a prefix again, all of it resident from now on. @param length blocks, more than it holds. */
  extend(prefix: Prefix, length: number): void {
    for (let at = prefix.length; at < length; at++) this.#take(prefix.blocks[at] as number);
    prefix.length = length;
    if (prefix.slot >= 0) return this.revalue(prefix);
    this.#rated(prefix);
    prefix.slot = this.#heap.push(prefix) - 1;
    this.#up(prefix.slot);
  }

  /** A resident block that nobody holds and that is worth no more than the least valuable prefix. Throws when there is none. */
  victim(): number {
    for (;;) {
      const prefix = this.#heap[0];
      const { least } = this.#unheld;
      if (least && (!prefix || !isBefore(prefix, least))) {
        const { block } = least;
        this.#unheld.remove(block);
        return block;
      }
      if (!prefix) throw new Error("no block is in the cache");
      prefix.length--;
      const block = prefix.blocks[prefix.length] as number;
      this.#drop(block);
      if (prefix.length === 0) this.#remove(prefix);
      else if (
        prefix.length < prefix.steadyTo ||
        prefix.ratedAfter < this.#prompts ||
        this.#holdersAt(prefix) !== prefix.holders
      )
        this.revalue(prefix);
      // Of what all prompts of an agent have the value counts other runs already.
      if (prefix.length < prefix.common && this.#holders[block] === 0) {
        this.#unheld.remove(block);
        return block;
      }
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
      if (isResident(block) !== ((counted[block] as number) > 0 || this.#unheld.has(block)))
        throw new Error(
          `block ${block} is ${isResident(block) ? "" : "not "}in cache, but its holders say otherwise`,
        );
    }
  }

  #holdersAt({ blocks, length }: Prefix): number {
    return length === 0 ? 0 : (this.#holders[blocks[length - 1] as number] as number);
  }

  #rated(prefix: Prefix): void {
    prefix.holders = this.#holdersAt(prefix);
    this.#rate(prefix);
    prefix.ratedAfter = this.#prompts;
  }

  #take(block: number): void {
    const before = this.#holders[block] as number;
    this.#holders[block] = before + 1;
    if (before === 0) this.#unheld.remove(block);
  }

  /** Lets go of all but the first `kept` blocks, which another prefix holds in its place. */
  #release(prefix: Prefix, kept: number): void {
    for (let at = prefix.length - 1; at >= kept; at--) this.#drop(prefix.blocks[at] as number);
    prefix.length = 0;
    this.#remove(prefix);
  }

  #drop(block: number): void {
    const left = (this.#holders[block] as number) - 1;
    this.#holders[block] = left;
    if (left === 0) this.#unheld.add(block);
  }

  #remove(prefix: Prefix): void {
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

  #up(from: number): void {
    let at = from;
    const prefix = this.#heap[at] as Prefix;
    while (at > 0) {
      const parent = this.#heap[(at - 1) >> 1] as Prefix;
      if (!isBefore(prefix, parent)) break;
      this.#place(parent, at);
      at = (at - 1) >> 1;
    }
    this.#place(prefix, at);
  }

  #down(from: number): void {
    let at = from;
    const prefix = this.#heap[at] as Prefix;
    for (let child = 2 * at + 1; child < this.#heap.length; child = 2 * at + 1) {
      const right = this.#heap[child + 1];
      if (right && isBefore(right, this.#heap[child] as Prefix)) child++;
      const first = this.#heap[child] as Prefix;
      if (!isBefore(first, prefix)) break;
      this.#place(first, at);
      at = child;
    }
    this.#place(prefix, at);
  }

  #place(prefix: Prefix, at: number): void {
    this.#heap[at] = prefix;
    prefix.slot = at;
  }
}

function isBefore(a: Worth, b: Worth): boolean {
  return a.value < b.value || (a.value === b.value && a.usedAt < b.usedAt);
}

/** Blocks that two prompts begin with alike. */
export function commonLength(one: Int32Array, other: Int32Array): number {
  const most = Math.min(one.length, other.length);
  let common = 0;
  while (common < most && one[common] === other[common]) common++;
  return common;
}
