import type { BlockHash, BlockStoredEvent, CacheEvent, GapEvent } from "../runtime/cache-event.ts";

/** One cache: the blocks of one event source. */
interface Cache {
  /** Each with the media that hold it, such as GPU and CPU. */
  readonly blocks: Map<BlockHash, readonly string[]>;
  /** Blocks by medium. */
  readonly media: Map<string, number>;
  blockTokens: number;
  isComplete: boolean;
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
export class ResidentBlocks {
  readonly #caches = new Map<string, Cache>();
  readonly #maxBlocks: number;
  #size = 0;

  /** @param maxBlocks bound for all caches together; what came first is forgotten first. Default 100,000. */
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

  /** What a source holds; undefined when nothing was ever told of it. */
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

  /** Forgets a source for good. */
  forget(source: string): void {
    const cache = this.#caches.get(source);
    if (!cache) return;
    this.#clear(cache);
    this.#caches.delete(source);
  }

  #store({ source, blocks, blockTokens, medium = NO_MEDIUM }: BlockStoredEvent): void {
    const cache = this.#of(source);
    if (cache.blockTokens !== blockTokens) {
      if (cache.blocks.size > 0) this.#clear(cache);
      cache.blockTokens = blockTokens;
    }
    for (const hash of blocks) {
      const media = cache.blocks.get(hash);
      if (!media) this.#size++;
      if (!media?.includes(medium)) {
        cache.blocks.set(hash, media ? [...media, medium] : [medium]);
        count(cache.media, medium, 1);
      }
      if (this.#size > this.#maxBlocks) this.#forgetOldest();
    }
  }

  #remove(cache: Cache, hash: BlockHash, medium: string | undefined): void {
    const media = cache.blocks.get(hash);
    if (!media) return;
    const gone = medium === undefined ? media : media.filter((one) => one === medium);
    for (const one of gone) count(cache.media, one, -1);
    if (gone.length < media.length) {
      cache.blocks.set(
        hash,
        media.filter((one) => one !== medium),
      );
      return;
    }
    cache.blocks.delete(hash);
    this.#size--;
  }

  /** What is missing may be about any rank that publishes there. */
  #gap({ source, reason }: GapEvent): void {
    this.#of(source);
    for (const [name, cache] of this.#caches) {
      if (name !== source && !name.startsWith(`${source} `)) continue;
      this.#clear(cache);
      // An engine that begins anew has an empty cache.
      cache.isComplete = reason === "restart";
    }
  }

  #of(source: string): Cache {
    const known = this.#caches.get(source);
    if (known) return known;
    const isComplete = [...this.#caches].every(
      ([publisher, cache]) => cache.isComplete || !source.startsWith(`${publisher} `),
    );
    const cache: Cache = { blocks: new Map(), media: new Map(), blockTokens: 0, isComplete };
    this.#caches.set(source, cache);
    return cache;
  }

  #clear(cache: Cache): void {
    cache.isComplete = true;
    this.#size -= cache.blocks.size;
    cache.blocks.clear();
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

function count(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
