import type { Block, Chain } from "./block.ts";
import type { Owners } from "./owners.ts";

/** Which blocks go first: `lru` oldest use, `scored` lowest value and among equals oldest use. */
export type EvictionOrder = "lru" | "scored";

interface Cost {
  readonly value: number;
  readonly usedAt: number;
  readonly start: number;
}

const nothing: Cost = { value: -1, usedAt: -1, start: 0 };

/** Decides what is given up, for one eviction order. */
export class Victims {
  readonly #order: EvictionOrder;
  readonly #owners: Owners;

  constructor(order: EvictionOrder, owners: Owners) {
    this.#order = order;
    this.#owners = owners;
  }

  /** The tail block to evict next among idle chains, worth less than `ceiling`; undefined: nothing may go. */
  tail(chains: readonly Chain[], ceiling: number): Block | undefined {
    let victim: Block | undefined;
    let least: Cost | undefined;
    for (const chain of chains) {
      const block = chain.blocks.at(-1);
      // Every resident leaf ends some chain, so looking at chain ends finds them all.
      if (block === undefined || block.children.size > 0 || !this.#mayGo(block)) continue;
      const cost = this.#cost(block);
      if (cost.value >= ceiling || (least !== undefined && !this.#isLess(cost, least))) continue;
      [victim, least] = [block, cost];
    }
    return victim;
  }

  /**
   * The idle chain that costs least to cut down to what `keep` says it would keep, in blocks; undefined: none may be
   * cut. Only blocks that no other chain holds are lost by cutting.
   */
  chain(chains: readonly Chain[], keep: (chain: Chain) => number, ceiling: number): Chain | undefined {
    let victim: Chain | undefined;
    let least: Cost | undefined;
    for (const chain of chains) {
      if (chain.running) continue;
      const lost = chain.blocks.findIndex((block, index) => index >= keep(chain) && block.holders.size === 1);
      const first = chain.blocks[lost];
      const cost = first === undefined ? nothing : this.#cost(first);
      if (cost.value >= ceiling || (least !== undefined && !this.#isLess(cost, least))) continue;
      if (first !== undefined && chain.blocks.slice(lost).some((block) => this.#owners.isPinned(block)))
        continue;
      [victim, least] = [chain, cost];
    }
    return victim;
  }

  #mayGo(block: Block): boolean {
    for (const holder of block.holders) if (holder.running) return false;
    return !this.#owners.isPinned(block);
  }

  #cost(block: Block): Cost {
    return { value: this.#owners.valueOf(block), usedAt: block.usedAt, start: block.start };
  }

  #isLess(left: Cost, right: Cost): boolean {
    if (this.#order === "scored" && left.value !== right.value) return left.value < right.value;
    if (left.usedAt !== right.usedAt) return left.usedAt < right.usedAt;
    return left.start > right.start;
  }
}
