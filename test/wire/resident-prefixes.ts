import type { BlockHash, CacheEvent } from "../../src/runtime/cache-event.ts";

interface Block {
  readonly parent: BlockHash | undefined;
  readonly tokens: readonly number[];
  readonly media: Set<string>;
}

/** Finds prompts by what cache events say of each block: whether its tokens, its parent and its end are told truly. */
export class ResidentPrefixes {
  readonly #caches = new Map<string, Map<BlockHash, Block>>();

  observe(event: CacheEvent): void {
    const blocks = this.#caches.get(event.source) ?? new Map<BlockHash, Block>();
    this.#caches.set(event.source, blocks);
    if (event.type === "block-stored") {
      const { blockTokens, medium = "unknown" } = event;
      for (const [index, hash] of event.blocks.entries()) {
        const tokens = event.tokens.slice(index * blockTokens, (index + 1) * blockTokens);
        const parent = index === 0 ? event.parent : event.blocks[index - 1];
        const block = blocks.get(hash) ?? { parent, tokens, media: new Set() };
        block.media.add(medium);
        blocks.set(hash, block);
      }
    } else if (event.type === "block-removed")
      for (const hash of event.blocks) {
        const media = blocks.get(hash)?.media;
        if (event.medium === undefined) media?.clear();
        else media?.delete(event.medium);
        if (media?.size === 0) blocks.delete(hash);
      }
    else blocks.clear();
  }

  /** How many of a prompt's first tokens each cache holds without a hole, and where the last of them is. */
  find(prompt: readonly number[]) {
    return [...this.#caches].flatMap(([source, blocks]) => {
      let at = 0;
      let last: readonly [hash: BlockHash, block: Block] | undefined;
      for (;;) {
        const next = [...blocks].find(
          ([, { parent, tokens }]) =>
            parent === last?.[0] &&
            tokens.length > 0 &&
            at + tokens.length <= prompt.length &&
            tokens.every((token, index) => token === prompt[at + index]),
        );
        if (!next) break;
        at += next[1].tokens.length;
        last = next;
      }
      return last ? [{ source, tokens: at, media: [...last[1].media].toSorted() }] : [];
    });
  }
}
