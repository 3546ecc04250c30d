import { type Block, blockTokens, type Chain, commonInBlocks, type Owner } from "./block.ts";
import { Owners } from "./owners.ts";
import { type Match, type PrefetchUse, PrefixTree } from "./prefix-tree.ts";
import { type EvictionOrder, Victims } from "./victims.ts";

export interface BlockPoolOptions {
  /** Blocks that may be resident at once. */
  readonly capacity: number;
  /** Chains, that is llama sequences. */
  readonly chains: number;
  readonly order: EvictionOrder;
  /** Clock in milliseconds, for time limits of values and pins. */
  readonly now: () => number;
}

export interface OpenOptions {
  /** Most tokens to reuse; a request leaves one to compute, because sampling needs its logits. */
  readonly limit: number;
  /** Prefix id the work is for: it may continue in place on what the same id left. */
  readonly owner?: string | undefined;
  /** Only blocks worth less than this may be given up for it. */
  readonly ceiling: number;
  /** Reused tokens count as hits of a prefetch. */
  readonly isRequest: boolean;
}

/** A chain opened for work. */
export interface Opened {
  readonly chain: Chain;
  /** Tokens that are resident already. */
  readonly reused: number;
  /** The chain whose state holds those tokens, when it is not the opened one. */
  readonly copyFrom?: Chain;
}

/** Share of the budget that pins may hold. */
const pinnableShare = 3 / 4;

/**
 * Which tokens are resident in which sequence, under a budget in blocks. A prefix that several chains share counts
 * once. It only decides; the llama sequences follow.
 */
export class BlockPool {
  readonly owners: Owners;
  readonly chains: readonly Chain[];
  readonly capacity: number;
  readonly #tree = new PrefixTree();
  readonly #victims: Victims;
  readonly #now: () => number;
  #evicted = 0;
  #tick = 0;

  constructor({ capacity, chains, order, now }: BlockPoolOptions) {
    this.capacity = capacity;
    this.chains = Array.from({ length: chains }, (_, id) => ({
      id,
      blocks: [],
      length: 0,
      running: false,
      discarded: false,
    }));
    this.owners = new Owners(now);
    this.#victims = new Victims(order, this.owners);
    this.#now = now;
  }

  /** Blocks resident now. */
  get resident(): number {
    return this.#tree.resident;
  }

  /** Tokens resident now, shared ones counted once. */
  get residentTokens(): number {
    return this.#tree.residentTokens;
  }

  /** Blocks dropped so far to make room. */
  get evicted(): number {
    return this.#evicted;
  }

  get prefetch(): Readonly<PrefetchUse> {
    return this.#tree.prefetch;
  }

  /**
   * Blocks that no running chain holds and no pin protects: what a request may count on.
   *
   * @param without running chains that would be closed first.
   */
  available(without?: ReadonlySet<Chain>): number {
    const taken = this.owners.pinnedBlocks();
    for (const chain of this.chains)
      if (chain.running && !without?.has(chain)) for (const block of chain.blocks) taken.add(block);
    return this.capacity - taken.size;
  }

  /** Is a block free, or worth less than `ceiling` and free to go? */
  hasRoom(ceiling: number): boolean {
    return this.#tree.resident < this.capacity || this.#victims.tail(this.chains, ceiling) !== undefined;
  }

  /** Leading tokens that are resident. */
  matching(tokens: readonly number[]): number {
    return this.#tree.match(tokens).length;
  }

  /** Opens a chain that starts with the longest resident prefix of `tokens`; undefined: no chain may be given up. */
  open(tokens: readonly number[], options: OpenOptions): Opened | undefined {
    const match = this.#match(tokens, options.limit);
    const holds = (chain: Chain): boolean => match.blocks.at(-1)?.holders.has(chain) ?? false;
    const own = this.#continuable(match, options.owner);
    const chain =
      own ??
      this.#victims.chain(
        this.chains,
        (candidate) => (holds(candidate) ? match.blocks.length : 0),
        options.ceiling,
      );
    if (chain === undefined) return undefined;
    chain.running = true;
    const source = holds(chain) ? undefined : firstOf(match.blocks.at(-1)?.holders);
    const length = Math.min(match.length, options.limit);
    if (options.isRequest)
      for (const block of match.blocks)
        this.#tree.hit(block, Math.min(blockTokens, Math.max(0, length - block.start)));
    const before = this.#tree.resident;
    if (source === undefined) this.#cut(chain, length, options.ceiling);
    else this.#tree.truncate(chain, 0);
    if (own === undefined) this.#evicted += Math.max(0, before - this.#tree.resident);
    if (source !== undefined) this.#share(chain, match, length, options.ceiling);
    this.#touch(chain);
    const reused = chain.length;
    return { chain, reused, ...(source !== undefined && reused > 0 && { copyFrom: source }) };
  }

  /**
   * Adds tokens to an open chain, dropping blocks worth less than `ceiling` where the budget asks for it. False: there
   * is no room and nothing was added.
   */
  append(chain: Chain, tokens: readonly number[], ceiling: number, isPrefetch = false): boolean {
    if (!this.#makeRoom(this.#tree.growth(chain, tokens.length), ceiling)) return false;
    const first = Math.floor(chain.length / blockTokens);
    this.#tree.append(chain, tokens, isPrefetch);
    for (const block of chain.blocks.slice(first)) block.usedAt = this.#tick;
    return true;
  }

  /** Ends the work on a chain; its blocks stay until room is needed. */
  close(chain: Chain): void {
    this.#touch(chain);
    chain.running = false;
  }

  /** Empties a chain for good. */
  drop(chain: Chain): void {
    this.#tree.truncate(chain, 0);
    chain.running = false;
    chain.discarded = true;
  }

  /** Empties everything and forgets all owners and counts. */
  clear(): void {
    for (const chain of this.chains) this.drop(chain);
    this.owners.clear();
    this.#evicted = 0;
    this.#tree.prefetch.used = 0;
    this.#tree.prefetch.wasted = 0;
  }

  /**
   * Gives the first `length` tokens of a chain to `id`, in place of what it owned before.
   *
   * @param promptTokens tokens of the prompt that they are of; fewer than `length` where an answer follows, more where not all is
   * there. Default: `length`.
   */
  claim(chain: Chain, id: string, length = chain.length, promptTokens = length): void {
    const owner = this.owners.ensure(id);
    owner.promptTokens = promptTokens;
    const blocks = new Set(chain.blocks.filter((block) => block.start < length));
    for (const block of owner.blocks) if (!blocks.has(block)) this.#disown(block, owner);
    for (const block of blocks) block.owners.add(owner);
    owner.blocks = blocks;
    // A pinned prefix may grow past what pins may hold; a guarantee that starves requests is worth less than none.
    if (owner.pinnedUntil > this.#now() && this.owners.pinnedBlocks().size > this.#pinnable)
      owner.pinnedUntil = -Infinity;
  }

  /**
   * Gives an anchor what the latest prompts of two prefixes both begin with, at most `length` tokens of this chain: where it
   * ends with a user's name or the date, what follows is of no use to others.
   *
   * @param by prefix id whose prompt it is; undefined: it was composed of what is known, which tells nothing new.
   */
  claimAnchor(chain: Chain, id: string, length: number, by?: string): void {
    const owner = this.owners.ensure(id);
    const { latest } = owner;
    const tokens = chain.blocks.map((block) => block.tokens);
    let shared = Math.min(length, latest ? commonInBlocks(latest.tokens, tokens) : length);
    // A prefix's own prompts have more in common than those of two.
    if (latest && (by === undefined || by === latest.by)) shared = Math.min(shared, latest.length);
    // What was given up half way tells nothing either.
    if (chain.length >= length && (!latest || by !== undefined))
      owner.latest = { tokens, by, length: shared };
    this.claim(chain, id, shared);
  }

  /** Takes back everything said about `id`. Returns the tokens that nobody owns any more. */
  release(id: string): number {
    const owner = this.owners.find(id);
    if (owner === undefined) return 0;
    let freed = 0;
    for (const block of owner.blocks) {
      this.#disown(block, owner);
      if (block.owners.size === 0) freed += block.tokens.length;
    }
    this.owners.delete(id);
    return freed;
  }

  /** Drops the blocks that only `id` owns and nothing else needs, now. Returns their tokens. */
  evict(id: string): number {
    const blocks = Array.from(this.owners.find(id)?.blocks ?? []);
    this.release(id);
    let freed = 0;
    for (const block of blocks.toSorted((left, right) => right.start - left.start)) {
      if (block.owners.size > 0 || block.children.size > 0 || isRunning(block)) continue;
      freed += block.tokens.length;
      for (const holder of block.holders) holder.discarded = true;
      this.#evict(block);
    }
    return freed;
  }

  /** Keeps what `id` owns for `ttl` milliseconds, or until released; a sentence that says why not otherwise. */
  pin(id: string, ttl = Infinity): string | undefined {
    const owner = this.owners.find(id);
    if (owner === undefined || owner.blocks.size === 0) return "nothing is resident for this prefix";
    const pinned = this.owners.pinnedBlocks();
    for (const block of owner.blocks) pinned.add(block);
    if (pinned.size > this.#pinnable)
      return `pins would hold ${pinned.size} of ${this.capacity} blocks, at most ${Math.floor(this.#pinnable)} may be`;
    owner.pinnedUntil = this.#now() + ttl;
    return undefined;
  }

  get #pinnable(): number {
    return this.capacity * pinnableShare;
  }

  #match(tokens: readonly number[], limit: number): Match {
    const match = this.#tree.match(tokens);
    // Copying a sequence's state costs more than computing less than a block.
    return Math.min(match.length, limit) < blockTokens ? { blocks: [], length: 0 } : match;
  }

  /** An idle chain that goes on from the match without losing anything but an older state of the same prefix. */
  #continuable(match: Match, owner: string | undefined): Chain | undefined {
    const last = match.blocks.at(-1);
    if (last === undefined) return undefined;
    const isWhole = match.length === last.start + last.tokens.length;
    const intact = isWhole ? match.blocks.length : match.blocks.length - 1;
    const isOwn = (block: Block): boolean => block.owners.size === 1 && firstOf(block.owners)?.id === owner;
    for (const chain of last.holders) {
      if (chain.running) continue;
      const lost = chain.blocks.slice(intact).filter((block) => block.holders.size === 1);
      if (lost.every((block) => isOwn(block))) return chain;
    }
    return undefined;
  }

  /** Cuts an open chain down to `length` tokens. */
  #cut(chain: Chain, length: number, ceiling: number): void {
    const straddling = chain.blocks[Math.floor(length / blockTokens)];
    const needsCopy = straddling !== undefined && straddling.holders.size > 1 && length > straddling.start;
    this.#tree.truncate(chain, needsCopy && !this.#makeRoom(1, ceiling) ? straddling.start : length);
  }

  /** Makes an empty open chain share the first `length` tokens of a match. */
  #share(chain: Chain, { blocks }: Match, length: number, ceiling: number): void {
    for (const block of blocks) {
      const shared = length - block.start;
      if (shared >= block.tokens.length) this.#tree.join(chain, block);
      // The first tokens of somebody else's block are a block of their own here, which needs room like any other.
      else if (shared > 0 && this.#makeRoom(1, ceiling))
        this.#tree.append(chain, block.tokens.slice(0, shared), false);
    }
  }

  #makeRoom(blocks: number, ceiling: number): boolean {
    while (this.#tree.resident + blocks > this.capacity) {
      const victim = this.#victims.tail(this.chains, ceiling);
      if (victim === undefined) return false;
      this.#evict(victim);
    }
    return true;
  }

  #evict(block: Block): void {
    this.#evicted++;
    this.#tree.remove(block);
  }

  #disown(block: Block, owner: Owner): void {
    block.owners.delete(owner);
    if (block.owners.size === 0) this.#tree.waste(block);
  }

  #touch(chain: Chain): void {
    this.#tick++;
    for (const block of chain.blocks) block.usedAt = this.#tick;
  }
}

function isRunning(block: Block): boolean {
  for (const holder of block.holders) if (holder.running) return true;
  return false;
}

function firstOf<T>(items: ReadonlySet<T> | undefined): T | undefined {
  return items?.values().next().value;
}
