import { jointValue } from "../../runtime/joint-value.ts";
import type { Block, Owner, Worth } from "./block.ts";

/** Ids that own nothing are forgotten, oldest first, beyond this many. */
const rememberedOwners = 4096;

/** `[milliseconds from now, value]`, in order; see `Owner.values`. Default: it stays as it is. */
type Later = readonly (readonly [afterMs: number, value: number])[] | undefined;

/** How a value goes on. */
export interface ValueCourse {
  readonly later?: Later;
  /** The prompt's last tokens, and what follows it, where they are worth less. Default: all of it is worth the same. */
  readonly tail?: { readonly tokens: number; readonly value: number; readonly later?: Later } | undefined;
  /** Milliseconds from now after which it no longer counts. Default: none. */
  readonly ttl?: number | undefined;
}

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
    const owner: Owner = {
      id,
      messages: 0,
      latest: undefined,
      values: [],
      tail: undefined,
      promptTokens: 0,
      expiresAt: Infinity,
      pinnedUntil: -Infinity,
      blocks: new Set(),
    };
    this.#byId.set(id, owner);
    if (this.#byId.size > rememberedOwners) this.#forgetOldest();
    return owner;
  }

  /** Sets what a prefix is worth from now on. */
  setValue(id: string, value: number, { later, tail, ttl = Infinity }: ValueCourse = {}): void {
    const owner = this.ensure(id);
    const now = this.#now();
    owner.values = courseOf(now, value, later);
    owner.tail = tail && { tokens: tail.tokens, values: courseOf(now, tail.value, tail.later) };
    owner.expiresAt = now + ttl;
  }

  /** What the prefix is worth now, but for its tail; 0 when nobody spoke for it. */
  worth(id: string): number {
    const owner = this.#byId.get(id);
    return owner === undefined ? 0 : worthAt(owner, this.#now());
  }

  /** The prefix will be worth more than it is now. */
  isRising(id: string): boolean {
    const now = this.#now();
    const owner = this.#byId.get(id);
    if (owner === undefined || owner.expiresAt <= now) return false;
    const worth = worthAt(owner, now);
    return owner.values.some(({ at, value }) => at > now && value > worth);
  }

  /** Forgets the id; its blocks are left to the caller. */
  delete(id: string): void {
    this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
  }

  /**
   * The block's worth now, 0 when nobody spoke for it: what the prompts that hold it are worth together, or an anchor that
   * does where that is more, since its value counts all prompts already.
   */
  valueOf(block: Block): number {
    const now = this.#now();
    let [prompts, anchors] = [0, 0];
    for (const owner of block.owners) {
      const worth = worthAt(owner, now, block);
      if (owner.latest === undefined) prompts = jointValue(prompts, worth);
      else anchors = Math.max(anchors, worth);
    }
    return Math.max(prompts, anchors);
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

function courseOf(now: number, value: number, later: Later = []): readonly Worth[] {
  return [{ at: now, value }, ...later.map(([afterMs, then]) => ({ at: now + afterMs, value: then }))];
}

/** @param block which of its blocks; default: one that is not of its tail. */
function worthAt({ values: head, tail, promptTokens, expiresAt }: Owner, now: number, block?: Block): number {
  if (expiresAt <= now) return 0;
  const isTail = tail !== undefined && block !== undefined && block.start >= promptTokens - tail.tokens;
  const values = isTail ? tail.values : head;
  const next = values.findIndex(({ at }) => at > now);
  const before: Worth | undefined = values.at(next < 0 ? -1 : Math.max(0, next - 1));
  const after = values[next];
  if (before === undefined) return 0;
  if (after === undefined) return before.value;
  return before.value + ((after.value - before.value) * (now - before.at)) / (after.at - before.at);
}
