import { Duel } from "../learn/duel.ts";
import type { Status } from "../runtime/event.ts";
import type { Arrival, CacheContext, CachePolicy, Completion } from "./cache-policy.ts";
import { RecencyList } from "./recency-list.ts";

/**
 * Falls back to LRU where a policy does no better: both run on a shadow of the cache (block ids only), and the cache itself
 * follows the one that has hit more of late. After a change of sides it differs from the new leader's shadow, and gives
 * up what that one does not hold.
 */
export class GuardedPolicy implements CachePolicy {
  readonly #context: CacheContext;
  readonly #policy: CachePolicy;
  readonly #duel = new Duel();
  readonly #recency: RecencyList;
  /** By block: held by the policy's shadow. */
  readonly #held: Uint8Array;
  readonly #usedAt: Int32Array;
  #heldSize = 0;
  #recentSize = 0;
  /** Blocks that the leader's shadow gave up, oldest first: all that the cache has and the leader has not are among them. */
  #surplus: number[] = [];
  /** Those before are done with. */
  #next = 0;

  /** @param create makes the policy to guard, which sees its own shadow as the cache. */
  constructor(context: CacheContext, create: (shadow: CacheContext) => CachePolicy) {
    this.#context = context;
    this.#recency = new RecencyList(context.blockCount);
    this.#held = new Uint8Array(context.blockCount);
    this.#usedAt = new Int32Array(context.blockCount).fill(-1);
    // Inherits from the context, since a copy would read what is to come.
    const isResident = (block: number) => this.#held[block] === 1;
    this.#policy = create(Object.create(context, { isResident: { value: isResident } }) as CacheContext);
  }

  request(arrival: Arrival): void {
    const { blocks, index } = arrival;
    const held = this.#held;
    const recency = this.#recency;
    const hits = hitsIn(blocks, (block) => held[block] === 1);
    const recentHits = hitsIn(blocks, (block) => recency.has(block));
    const changed = this.#duel.score(hits, recentHits);
    for (let at = 0; at < blocks.length; at++) {
      const block = blocks[at] as number;
      // A block that stands twice in a prompt is one in the cache.
      if (at >= recentHits && this.#usedAt[block] !== index && !recency.has(block)) this.#recentSize++;
      this.#usedAt[block] = index;
      if (at < hits || held[block] === 1) continue;
      held[block] = 1;
      this.#heldSize++;
    }
    if (changed) this.#changeSides();
    recency.usePrompt(blocks);
    this.#policy.request(arrival);
    this.#evictHeld();
    const followsRecency = this.#duel.hasSecondLead;
    const { capacity } = this.#context;
    for (; this.#recentSize > capacity; this.#recentSize--) {
      const victim = this.#recency.takeOldest();
      if (followsRecency) this.#surplus.push(victim);
    }
  }

  victim(): number {
    while (this.#next < this.#surplus.length) {
      const block = this.#surplus[this.#next++] as number;
      if (this.#leaderHas(block) || !this.#context.isResident(block)) continue;
      if (this.#next === this.#surplus.length) this.#clear();
      return block;
    }
    throw new Error("the cache holds no more than the leader's shadow");
  }

  prefetch(most: number): readonly number[] {
    const { capacity, isResident } = this.#context;
    const fetched = this.#policy.prefetch?.(most, capacity - this.#heldSize) ?? [];
    for (const block of fetched) {
      this.#held[block] = 1;
      this.#heldSize++;
    }
    this.#evictHeld();
    if (this.#duel.hasSecondLead) return [];
    return fetched.filter((block) => this.#held[block] === 1 && !isResident(block));
  }

  completed(completion: Completion): void {
    this.#policy.completed?.(completion);
  }

  ended(run: number, status: Status): void {
    this.#policy.ended?.(run, status);
  }

  finished(): void {
    this.#policy.finished?.();
    for (let block = 0; block < this.#held.length; block++)
      if (
        this.#context.isResident(block) &&
        !this.#leaderHas(block) &&
        !this.#surplus.includes(block, this.#next)
      )
        throw new Error(`block ${block} is in cache, but no one knows of it`);
  }

  #leaderHas(block: number): boolean {
    return this.#duel.hasSecondLead ? this.#recency.has(block) : this.#held[block] === 1;
  }

  #evictHeld(): void {
    const { capacity } = this.#context;
    for (; this.#heldSize > capacity; this.#heldSize--) {
      const victim = this.#policy.victim(this.#heldSize - capacity);
      this.#held[victim] = 0;
      if (!this.#duel.hasSecondLead) this.#surplus.push(victim);
    }
  }

  #clear(): void {
    this.#surplus.length = 0;
    this.#next = 0;
  }

  #changeSides(): void {
    this.#clear();
    for (let block = 0; block < this.#held.length; block++)
      if (this.#context.isResident(block) && !this.#leaderHas(block)) this.#surplus.push(block);
    this.#surplus.sort((a, b) => (this.#usedAt[a] as number) - (this.#usedAt[b] as number));
  }
}

function hitsIn(blocks: Int32Array, has: (block: number) => boolean): number {
  let hits = 0;
  while (hits < blocks.length && has(blocks[hits] as number)) hits++;
  return hits;
}
