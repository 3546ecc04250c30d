/** Tokens in a full cache block. */
export const blockTokens = 16;

/**
 * A node of the prefix tree: up to 16 tokens that follow the tokens of every block above it. Only full blocks have
 * children. A block is resident exactly as long as it has holders.
 */
export interface Block {
  readonly parent: Block | undefined;
  readonly key: string;
  readonly tokens: readonly number[];
  /** Position of its first token. */
  readonly start: number;
  readonly children: Map<string, Block>;
  /** Chains that pass through it; a subset of its parent's. */
  readonly holders: Set<Chain>;
  /** Prefix ids it was claimed for. */
  readonly owners: Set<Owner>;
  /** Tick of its last use by a request. */
  usedAt: number;
  /** One bit for each token that a prefetch computed and no request has hit yet. */
  prefetched: number;
}

/** What one llama sequence holds: a path of blocks from the root. */
export interface Chain {
  readonly id: number;
  readonly blocks: Block[];
  /** Tokens in its blocks. */
  length: number;
  /** A request or prefetch is working on it: nothing of it may be dropped. */
  running: boolean;
  /** What its sequence holds beyond its blocks was dropped for good, or is broken: not to be saved anywhere. */
  discarded: boolean;
}

/** A value in [0, 1] at a clock time in milliseconds. */
export interface Worth {
  readonly at: number;
  readonly value: number;
}

/** The latest prompt that an anchor was claimed with. */
interface AnchorUse {
  /** Its tokens, block by block. */
  readonly tokens: readonly (readonly number[])[];
  /** Prefix id of the prompt; undefined: nobody has asked for it yet. */
  readonly by: string | undefined;
  /** How many of the tokens the anchor takes in. */
  readonly length: number;
}

/** What was said about one prefix id, and which blocks it stands for. */
export interface Owner {
  readonly id: string;
  /** Of an anchor: messages after the system messages that it takes in, as said last. */
  messages: number;
  /** Of an anchor; undefined before it was claimed. */
  latest: AnchorUse | undefined;
  /** What it is worth over time: clock times in order, with straight lines between; before the first and after the last it is as there. */
  values: readonly Worth[];
  /** What its last tokens are worth, where that is less than what stands before them. */
  tail: { readonly tokens: number; readonly values: readonly Worth[] } | undefined;
  /** Tokens of the prompt that its blocks were claimed for; an answer may follow. */
  promptTokens: number;
  /** Clock time at which the value stops counting. */
  expiresAt: number;
  /** Clock time until which its blocks may not be dropped; -Infinity: not pinned. */
  pinnedUntil: number;
  blocks: Set<Block>;
}

/** Makes the block that `tokens` form under `parent`; it holds nothing and is not in the tree yet. */
export function createBlock(parent: Block | undefined, tokens: readonly number[], prefetched: number): Block {
  return {
    parent,
    key: blockKey(tokens, 0, tokens.length),
    tokens,
    start: parent === undefined ? 0 : parent.start + parent.tokens.length,
    children: new Map(),
    holders: new Set(),
    owners: new Set(),
    usedAt: 0,
    prefetched,
  };
}

/** Names the tokens in [start, end) under their parent. */
export function blockKey(tokens: readonly number[], start: number, end: number): string {
  let key = "";
  for (let index = start; index < end; index++) key += `${tokens[index]} `;
  return key;
}

/** Number of leading tokens of `block` that `tokens` shows from `start` on. */
export function commonTokens(block: Block, tokens: readonly number[], start: number): number {
  const limit = Math.min(block.tokens.length, tokens.length - start);
  let common = 0;
  while (common < limit && block.tokens[common] === tokens[start + common]) common++;
  return common;
}

/** How many tokens two prompts begin with alike. */
export function commonLength(left: readonly number[], right: readonly number[]): number {
  const limit = Math.min(left.length, right.length);
  let length = 0;
  while (length < limit && left[length] === right[length]) length++;
  return length;
}

/** The same of prompts that are cut into blocks. What both share as a resident block is not looked into. */
export function commonInBlocks(
  left: readonly (readonly number[])[],
  right: readonly (readonly number[])[],
): number {
  let length = 0;
  for (const [index, one] of left.entries()) {
    const other = right[index];
    if (other === undefined) break;
    const common = one === other ? one.length : commonLength(one, other);
    length += common;
    if (common < blockTokens) break;
  }
  return length;
}

/** Mask of the first `count` tokens of a block. */
export function firstBits(count: number): number {
  return (1 << count) - 1;
}

/** Number of set bits, for masks of up to 16 tokens. */
export function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
