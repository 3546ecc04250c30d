import type { BlockHash, BlockStoredEvent, CacheEvent } from "../runtime/cache-event.ts";

interface Block {
  readonly hash: BlockHash;
  readonly parent: BlockHash | undefined;
  readonly tokens: string;
  /** Media that hold it, such as GPU and CPU. */
  readonly media: Set<string>;
}

/** One cache: the blocks of one event source. */
interface Cache {
  readonly blocks: Map<BlockHash, Block>;
  /** Blocks that follow a block (or begin a prompt), by their tokens. */
  readonly children: Map<BlockHash | undefined, Map<string, BlockHash>>;
  blockTokens: number;
}

/** How much of a prompt one cache holds. */
export interface Residency {
  readonly source: string;
  /** Tokens from the prompt's start on that are there without a hole. */
  readonly tokens: number;
  /** Where the last of them is, such as `GPU`; several where it is in more than one place. */
  readonly media: readonly string[];
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

  /** @param maxBlocks bound for all caches together; what came first is forgotten first. Default 200,000. */
  constructor(maxBlocks = 200_000) {
    this.#maxBlocks = maxBlocks;
  }

  /** Blocks known to be resident. */
  get size(): number {
    return this.#size;
  }

  observe(event: CacheEvent): void {
    if (event.type === "block-stored") return this.#store(event);
    const cache = this.#caches.get(event.source);
    if (!cache) return;
    if (event.type === "block-removed")
      for (const hash of event.blocks) this.#remove(cache, hash, event.medium);
    else this.#clear(event.source, cache);
  }

  /** Where a prompt's beginning is resident, the longest first; caches that hold nothing of it are left out. */
  find(tokens: readonly number[]): readonly Residency[] {
    const found: Residency[] = [];
    for (const [source, cache] of this.#caches) {
      let at = 0;
      let last: Block | undefined;
      while (cache.blockTokens > 0 && at + cache.blockTokens <= tokens.length) {
        const chunk = tokens.slice(at, at + cache.blockTokens).join();
        const hash = cache.children.get(last?.hash)?.get(chunk);
        const block = hash === undefined ? undefined : cache.blocks.get(hash);
        if (!block) break;
        at += cache.blockTokens;
        last = block;
      }
      if (last) found.push({ source, tokens: at, media: [...last.media].toSorted() });
    }
    return found.toSorted((a, b) => b.tokens - a.tokens);
  }

  #store({ source, blocks, parent, tokens, blockTokens, medium }: BlockStoredEvent): void {
    let cache = this.#caches.get(source);
    if (!cache) this.#caches.set(source, (cache = { blocks: new Map(), children: new Map(), blockTokens }));
    if (cache.blockTokens !== blockTokens) this.#clear(source, cache, blockTokens);
    let before = parent;
    for (const [index, hash] of blocks.entries()) {
      const chunk = tokens.slice(index * blockTokens, (index + 1) * blockTokens).join();
      let block = cache.blocks.get(hash);
      if (!block) {
        block = { hash, parent: before, tokens: chunk, media: new Set() };
        cache.blocks.set(hash, block);
        let siblings = cache.children.get(before);
        if (!siblings) cache.children.set(before, (siblings = new Map()));
        siblings.set(chunk, hash);
        this.#size++;
        if (this.#size > this.#maxBlocks) this.#forgetOldest();
      }
      block.media.add(medium ?? NO_MEDIUM);
      before = hash;
    }
  }

  #remove(cache: Cache, hash: BlockHash, medium: string | undefined): void {
    const block = cache.blocks.get(hash);
    if (!block) return;
    if (medium === undefined) block.media.clear();
    else block.media.delete(medium);
    if (block.media.size > 0) return;
    cache.blocks.delete(hash);
    const siblings = cache.children.get(block.parent);
    // Two hashes may have the same tokens, under two salts.
    if (siblings?.get(block.tokens) === hash) siblings.delete(block.tokens);
    if (siblings?.size === 0) cache.children.delete(block.parent);
    this.#size--;
  }

  #clear(source: string, cache: Cache, blockTokens = cache.blockTokens): void {
    this.#size -= cache.blocks.size;
    cache.blocks.clear();
    cache.children.clear();
    cache.blockTokens = blockTokens;
    if (blockTokens === 0) this.#caches.delete(source);
  }

  #forgetOldest(): void {
    for (const cache of this.#caches.values()) {
      const oldest = cache.blocks.keys().next();
      if (oldest.done !== true) return this.#remove(cache, oldest.value, undefined);
    }
  }
}
