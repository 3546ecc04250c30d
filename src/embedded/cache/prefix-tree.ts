import {
  bitCount,
  type Block,
  blockKey,
  blockTokens,
  type Chain,
  commonTokens,
  createBlock,
  firstBits,
  type Owner,
} from "./block.ts";

/** The longest resident prefix of some tokens. */
export interface Match {
  /** Blocks from the root; of the last one perhaps only the first tokens. */
  readonly blocks: readonly Block[];
  /** Tokens. */
  readonly length: number;
}

/** Tokens that prefetches computed and a request then hit, or nobody did before they went. */
export interface PrefetchUse {
  used: number;
  wasted: number;
}

/** What is left of a chain's tail after it was taken off. */
interface Remains {
  readonly tokens: readonly number[];
  readonly prefetched: number;
  readonly owners: readonly Owner[];
}

/** The blocks that chains hold, as one tree: chains that begin alike share the blocks in which they do. */
export class PrefixTree {
  readonly prefetch: PrefetchUse = { used: 0, wasted: 0 };
  readonly #roots = new Map<string, Block>();
  #resident = 0;
  #residentTokens = 0;

  /** Blocks in the tree. */
  get resident(): number {
    return this.#resident;
  }

  /** Tokens in the tree, shared ones counted once. */
  get residentTokens(): number {
    return this.#residentTokens;
  }

  /** The longest resident prefix of `tokens`. */
  match(tokens: readonly number[]): Match {
    const blocks: Block[] = [];
    let length = 0;
    let children: ReadonlyMap<string, Block> = this.#roots;
    for (; length + blockTokens <= tokens.length; length += blockTokens) {
      const block = children.get(blockKey(tokens, length, length + blockTokens));
      if (block === undefined) break;
      blocks.push(block);
      children = block.children;
    }
    let partial: Block | undefined;
    let extra = 0;
    for (const block of children.values()) {
      const common = commonTokens(block, tokens, length);
      if (common > extra) [partial, extra] = [block, common];
    }
    if (partial !== undefined) blocks.push(partial);
    return { blocks, length: length + extra };
  }

  /** A request used the first `count` tokens of a block: what a prefetch computed of them has paid. */
  hit(block: Block, count: number): void {
    const mask = block.prefetched & firstBits(count);
    this.prefetch.used += bitCount(mask);
    block.prefetched &= ~mask;
  }

  /** Nobody is expected to use the block any more: what a prefetch computed of it was in vain. */
  waste(block: Block): void {
    this.prefetch.wasted += bitCount(block.prefetched);
    block.prefetched = 0;
  }

  /** Blocks that `append` may add at most. */
  growth(chain: Chain, tokens: number): number {
    const tail = openTail(chain);
    const freed = tail !== undefined && tail.holders.size === 1 ? 1 : 0;
    return Math.ceil((tokens + (tail?.tokens.length ?? 0)) / blockTokens) - freed;
  }

  /** Lengthens a chain; `isPrefetch` marks the tokens as computed ahead. */
  append(chain: Chain, tokens: readonly number[], isPrefetch: boolean): void {
    const tail = openTail(chain);
    const kept = tail?.tokens.length ?? 0;
    const remains = tail === undefined ? undefined : this.#detach(chain, tail, kept);
    const all = remains === undefined ? tokens : [...remains.tokens, ...tokens];
    for (let start = 0; start < all.length; start += blockTokens) {
      const piece = all.slice(start, start + blockTokens);
      const inherited = start === 0 ? remains : undefined;
      const ahead = isPrefetch ? firstBits(piece.length) & ~firstBits(start === 0 ? kept : 0) : 0;
      this.#attach(chain, {
        tokens: piece,
        prefetched: ahead | (inherited?.prefetched ?? 0),
        owners: inherited?.owners ?? [],
      });
    }
  }

  /** Cuts a chain down to its first `length` tokens. */
  truncate(chain: Chain, length: number): void {
    for (
      let tail = chain.blocks.at(-1);
      tail !== undefined && chain.length > length;
      tail = chain.blocks.at(-1)
    ) {
      const remains = this.#detach(chain, tail, Math.max(0, length - tail.start));
      if (remains.tokens.length > 0) this.#attach(chain, remains);
    }
  }

  /** Puts an existing block, the child of the chain's last one, at the end of a chain. */
  join(chain: Chain, block: Block): void {
    block.holders.add(chain);
    chain.blocks.push(block);
    chain.length += block.tokens.length;
  }

  /** Takes a block without children off every chain. */
  remove(block: Block): void {
    for (const holder of Array.from(block.holders)) this.#leave(holder, block);
  }

  #attach(chain: Chain, { tokens, prefetched, owners }: Remains): void {
    const parent = chain.blocks.at(-1);
    const siblings = parent?.children ?? this.#roots;
    let block = siblings.get(blockKey(tokens, 0, tokens.length));
    if (block === undefined) {
      block = createBlock(parent, tokens, prefetched);
      siblings.set(block.key, block);
      this.#resident++;
      this.#residentTokens += tokens.length;
    } else this.prefetch.wasted += bitCount(prefetched);
    for (const owner of owners) {
      block.owners.add(owner);
      owner.blocks.add(block);
    }
    this.join(chain, block);
  }

  #detach(chain: Chain, tail: Block, kept: number): Remains {
    const tokens = tail.tokens.slice(0, kept);
    if (tail.holders.size > 1) {
      this.#leave(chain, tail);
      return { tokens, prefetched: 0, owners: [] };
    }
    const prefetched = tail.prefetched & firstBits(kept);
    const owners = Array.from(tail.owners);
    tail.prefetched &= ~prefetched;
    this.#leave(chain, tail);
    return { tokens, prefetched, owners };
  }

  /** Takes the chain's last block off it, and out of the tree when nothing else holds it. */
  #leave(chain: Chain, block: Block): void {
    chain.blocks.pop();
    chain.length -= block.tokens.length;
    block.holders.delete(chain);
    if (block.holders.size > 0) return;
    (block.parent?.children ?? this.#roots).delete(block.key);
    for (const owner of block.owners) owner.blocks.delete(block);
    this.waste(block);
    this.#resident--;
    this.#residentTokens -= block.tokens.length;
  }
}

function openTail(chain: Chain): Block | undefined {
  const tail = chain.blocks.at(-1);
  return tail !== undefined && tail.tokens.length < blockTokens ? tail : undefined;
}
