import type { BlockHash, BlockStoredEvent, CacheEvent, GapEvent } from "../runtime/cache-event.ts";

interface Block {
  readonly hash: BlockHash;
  /** Block before it and its own tokens. */
  readonly key: string;
  /** Media that hold it, such as GPU and CPU; sorted. */
  media: readonly string[];
}

/** One cache: the blocks of one event source. */
interface Cache {
  readonly blocks: Map<BlockHash, Block>;
  /** Which block follows a block, or begins a prompt, with which tokens. */
  readonly next: Map<string, BlockHash>;
  readonly media: Map<string, number>;
  blockTokens: number;
  isComplete: boolean;
}

/** How much of a prompt one cache holds. */
export interface Residency {
  readonly source: string;
  /** Tokens from the prompt's start on that are there without a hole. */
  readonly tokens: number;
  /** Where the last of them is, such as `GPU`; several where it is in more than one place. */
  readonly media: readonly string[];
}

/** What one cache holds. */
export interface Holdings {
  readonly blocks: number;
  readonly tokens: number;
  /** Blocks by medium; a block in two counts in both. */
  readonly media: Readonly<Record<string, number>>;
  /** False after a gap, or when blocks were forgotten for want of room here, until the cache is cleared. */
  readonly isComplete: boolean;
}

const NO_MEDIUM = "unknown";

/**
 * What is resident where, from an engine's KV events. It claims less rather than more: a block that was removed once counts
 * as gone although a copy may be left, and a gap forgets all that its source held.
 */
export class PrefixLedger {
  readonly #caches = new Map<string, Cache>();
  readonly #maxBlocks: number;
  #size = 0;

  /**
   * @param maxBlocks bound for all caches together; what came first is forgotten first. Default 100,000, at about 450 bytes each
   * where a block has 16 tokens.
   */
  constructor(maxBlocks = 100_000) {
    this.#maxBlocks = maxBlocks;
  }

  /** Blocks known to be resident. */
  get size(): number {
    return this.#size;
  }

  observe(event: CacheEvent): void {
    if (event.type === "block-stored") return this.#store(event);
    if (event.type === "gap") return this.#gap(event);
    const cache = this.#caches.get(event.source);
    if (!cache) return;
    if (event.type === "block-removed")
      for (const hash of event.blocks) this.#remove(cache, hash, event.medium);
    else this.#clear(cache);
  }

  /** What a source holds; undefined when nothing was ever stored there. */
  holdings(source: string): Holdings | undefined {
    const cache = this.#caches.get(source);
    if (!cache) return undefined;
    const { blocks, blockTokens, media, isComplete } = cache;
    return {
      blocks: blocks.size,
      tokens: blocks.size * blockTokens,
      media: Object.fromEntries([...media].filter(([, held]) => held > 0)),
      isComplete,
    };
  }

  /** Where a prompt's beginning is resident, the longest first; caches that hold nothing of it are left out. */
  find(tokens: readonly number[]): readonly Residency[] {
    const found: Residency[] = [];
    for (const [source, cache] of this.#caches) {
      let at = 0;
      let last: Block | undefined;
      while (cache.blockTokens > 0 && at + cache.blockTokens <= tokens.length) {
        const hash = cache.next.get(keyOf(last?.hash, tokens.slice(at, at + cache.blockTokens)));
        const block = hash === undefined ? undefined : cache.blocks.get(hash);
        if (!block) break;
        at += cache.blockTokens;
        last = block;
      }
      if (last) found.push({ source, tokens: at, media: last.media });
    }
    return found.toSorted((a, b) => b.tokens - a.tokens);
  }

  /** Forgets a source for good. */
  forget(source: string): void {
    const cache = this.#caches.get(source);
    if (!cache) return;
    this.#clear(cache);
    this.#caches.delete(source);
  }

  #store({ source, blocks, parent, tokens, blockTokens, medium = NO_MEDIUM }: BlockStoredEvent): void {
    let cache = this.#caches.get(source);
    if (!cache) {
      cache = { blocks: new Map(), next: new Map(), media: new Map(), blockTokens, isComplete: true };
      this.#caches.set(source, cache);
    }
    if (cache.blockTokens !== blockTokens) {
      this.#clear(cache);
      cache.blockTokens = blockTokens;
    }
    let before = parent;
    for (const [index, hash] of blocks.entries()) {
      let block = cache.blocks.get(hash);
      if (!block) {
        const key = keyOf(before, tokens.slice(index * blockTokens, (index + 1) * blockTokens));
        block = { hash, key, media: [] };
        cache.blocks.set(hash, block);
        cache.next.set(key, hash);
        this.#size++;
      }
      if (!block.media.includes(medium)) {
        block.media = [...block.media, medium].toSorted();
        count(cache.media, medium, 1);
      }
      before = hash;
      if (this.#size > this.#maxBlocks) this.#forgetOldest();
    }
  }

  #remove(cache: Cache, hash: BlockHash, medium: string | undefined): void {
    const block = cache.blocks.get(hash);
    if (!block) return;
    const gone = medium === undefined ? block.media : block.media.filter((one) => one === medium);
    for (const one of gone) count(cache.media, one, -1);
    block.media = block.media.filter((one) => !gone.includes(one));
    if (block.media.length > 0) return;
    cache.blocks.delete(hash);
    // Two hashes may have the same tokens, under two salts.
    if (cache.next.get(block.key) === hash) cache.next.delete(block.key);
    this.#size--;
  }

  /** What is missing may be about any rank that publishes there. */
  #gap({ source, reason, missed = 0 }: GapEvent): void {
    for (const [name, cache] of this.#caches) {
      if (name !== source && !name.startsWith(`${source} `)) continue;
      this.#clear(cache);
      // An engine that begins anew has an empty cache.
      cache.isComplete = reason === "restart" && missed === 0;
    }
  }

  #clear(cache: Cache): void {
    cache.isComplete = true;
    this.#size -= cache.blocks.size;
    cache.blocks.clear();
    cache.next.clear();
    cache.media.clear();
  }

  #forgetOldest(): void {
    for (const cache of this.#caches.values()) {
      const oldest = cache.blocks.keys().next();
      if (oldest.done === true) continue;
      cache.isComplete = false;
      return this.#remove(cache, oldest.value, undefined);
    }
  }
}

function keyOf(before: BlockHash | undefined, tokens: readonly number[]): string {
  return `${before ?? ""}|${tokens.join()}`;
}

function count(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
