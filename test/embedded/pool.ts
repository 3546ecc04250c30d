import type { Chain } from "../../src/embedded/cache/block.ts";
import { BlockPool } from "../../src/embedded/cache/block-pool.ts";
import type { EvictionOrder } from "../../src/embedded/cache/victims.ts";

/** Tokens that begin like those of every other prompt of the same family. */
export function prompt(family: number, branch: number, length: number): number[] {
  return Array.from(
    { length },
    (_, index) => (index < length / 2 ? family * 1000 : family * 1000 + branch) + index,
  );
}

export function createPool(blocks: number, order: EvictionOrder = "scored", chains = 8) {
  const clock = { time: 0 };
  const pool = new BlockPool({ capacity: blocks, chains, order, now: () => clock.time });
  return { pool, clock };
}

/** Plays a request: open, compute what is missing, claim, close. Returns the reused tokens; undefined: no room. */
export function play(pool: BlockPool, tokens: readonly number[], owner?: string): number | undefined {
  const limit = tokens.length - 1;
  const opened = pool.open(tokens, { limit, owner, ceiling: Infinity, isRequest: true });
  if (opened === undefined) return undefined;
  const isDone = pool.append(opened.chain, tokens.slice(opened.reused), Infinity);
  if (isDone && owner !== undefined) pool.claim(opened.chain, owner);
  pool.close(opened.chain);
  return isDone ? opened.reused : undefined;
}

/** Reused tokens if `tokens` came now, without changing anything that eviction looks at. */
export function resident(pool: BlockPool, tokens: readonly number[]): number {
  return Math.max(
    0,
    ...pool.chains.map(({ blocks }) => {
      const held = blocks.flatMap((block) => block.tokens);
      const differs = tokens.findIndex((token, index) => token !== held[index]);
      return differs < 0 ? tokens.length : differs;
    }),
  );
}

/** The tokens a chain holds. */
export function tokensOf({ blocks }: Chain): number[] {
  return blocks.flatMap((block) => block.tokens);
}
