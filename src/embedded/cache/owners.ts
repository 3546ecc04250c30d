import type { Block, Owner } from "./block.ts";

/** Ids that own nothing are forgotten, oldest first, beyond this many. */
const rememberedOwners = 4096;

/** The prefix ids that callers named, with their values. */
export class Owners {
  readonly #byId = new Map<string, Owner>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  find(id: string): Owner | undefined {
    return this.#byId.get(id);
  }

  /** The owner of this id, made with value 0 if it is new. */
  ensure(id: string): Owner {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const owner: Owner = { id, value: 0, expiresAt: Infinity, pinnedUntil: -Infinity, blocks: new Set() };
    this.#byId.set(id, owner);
    if (this.#byId.size > rememberedOwners) this.#forgetOldest();
    return owner;
  }

  /** Sets a value that counts for `ttl` milliseconds from now. */
  setValue(id: string, value: number, ttl = Infinity): void {
    const owner = this.ensure(id);
    owner.value = value;
    owner.expiresAt = this.#now() + ttl;
  }

  /** Forgets the id; its blocks are left to the caller. */
  delete(id: string): void {
    this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
  }

  /** The block's worth now: the highest value of its owners, 0 when nobody spoke for it. */
  valueOf(block: Block): number {
    const now = this.#now();
    let value = 0;
    for (const owner of block.owners) if (owner.value > value && owner.expiresAt > now) value = owner.value;
    return value;
  }

  isPinned(block: Block): boolean {
    const now = this.#now();
    for (const owner of block.owners) if (owner.pinnedUntil > now) return true;
    return false;
  }

  /** Every block that a pin protects now. */
  pinnedBlocks(): Set<Block> {
    const now = this.#now();
    const pinned = new Set<Block>();
    for (const owner of this.#byId.values())
      if (owner.pinnedUntil > now) for (const block of owner.blocks) pinned.add(block);
    return pinned;
  }

  #forgetOldest(): void {
    for (const [id, owner] of this.#byId)
      if (owner.blocks.size === 0) {
        this.#byId.delete(id);
        return;
      }
  }
}
