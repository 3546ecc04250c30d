import assert from "node:assert/strict";
import * as fc from "fast-check";
import { describe, test } from "vitest";
import {
  bitCount,
  type Block,
  blockTokens,
  type Chain,
  commonInBlocks,
  commonLength,
} from "../../src/embedded/cache/block.ts";
import type { BlockPool } from "../../src/embedded/cache/block-pool.ts";
import type { EvictionOrder } from "../../src/embedded/cache/victims.ts";
import { createPool, play, prompt, resident, tokensOf } from "./pool.ts";

function residentBlocks(pool: BlockPool): Set<Block> {
  return new Set(pool.chains.flatMap(({ blocks }) => blocks));
}

function assertSound(pool: BlockPool): void {
  const blocks = residentBlocks(pool);
  assert.ok(pool.resident <= pool.capacity);
  assert.equal(pool.resident, blocks.size);
  assert.equal(
    pool.residentTokens,
    [...blocks].reduce((total, { tokens }) => total + tokens.length, 0),
  );
  for (const chain of pool.chains) {
    assert.equal(chain.length, tokensOf(chain).length);
    for (const [index, block] of chain.blocks.entries()) {
      assert.equal(block.parent, chain.blocks[index - 1]);
      assert.ok(block.holders.has(chain));
      if (index < chain.blocks.length - 1) assert.equal(block.tokens.length, blockTokens);
      for (const owner of block.owners) assert.ok(owner.blocks.has(block));
    }
  }
}

const order = fc.constantFrom<EvictionOrder>("lru", "scored");
const family = fc.integer({ min: 0, max: 2 });
const branch = fc.integer({ min: 0, max: 4 });
const length = fc.integer({ min: 1, max: 90 });
const owner = fc.constantFrom("a", "b", "c", "d");
const value = fc.double({ min: 0, max: 1, noNaN: true });

const step = fc.oneof(
  fc.record({
    type: fc.constant("open" as const),
    family,
    branch,
    length,
    owner,
    isPrefetch: fc.boolean(),
    value,
  }),
  fc.record({
    type: fc.constant("append" as const),
    chain: fc.nat(3),
    count: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({
    type: fc.constant("close" as const),
    chain: fc.nat(3),
    owner: fc.option(owner),
    isDrop: fc.boolean(),
  }),
  fc.record({ type: fc.constant("value" as const), owner, value }),
  fc.record({ type: fc.constantFrom("release", "evict", "pin" as const), owner }),
  fc.record({ type: fc.constant("time" as const), by: fc.integer({ min: 1, max: 100 }) }),
);

describe("under any order of operations", () => {
  test("the budget holds, chains have no holes, work under way and pins are kept, prefetched tokens count once", () => {
    fc.assert(
      fc.property(
        order,
        fc.integer({ min: 3, max: 24 }),
        fc.array(step, { maxLength: 60 }),
        (by, capacity, steps) => {
          const { pool, clock } = createPool(capacity, by, 4);
          const working = new Map<
            Chain,
            { tokens: number[]; rest: number[]; isPrefetch: boolean; value: number }
          >();
          let ahead = 0;
          for (const item of steps) {
            const pinned = pool.owners.pinnedBlocks();
            if (item.type === "open") {
              const tokens = prompt(item.family, item.branch, item.length);
              const opened = pool.open(tokens, {
                limit: item.isPrefetch ? tokens.length : tokens.length - 1,
                owner: item.owner,
                ceiling: item.isPrefetch ? item.value : Infinity,
                isRequest: !item.isPrefetch,
              });
              if (opened !== undefined) {
                const { chain, reused, copyFrom } = opened;
                assert.ok(!working.has(chain));
                assert.notEqual(copyFrom, chain);
                assert.deepEqual(tokensOf(chain), tokens.slice(0, reused));
                const rest = tokens.slice(reused);
                working.set(chain, { tokens: tokens.slice(0, reused), rest, ...item });
              }
            } else if (item.type === "append") {
              const [chain, work] = [...working][item.chain] ?? [];
              if (chain === undefined || work === undefined) continue;
              const added = work.rest.slice(0, item.count);
              if (added.length === 0) continue;
              const ceiling = work.isPrefetch ? work.value : Infinity;
              if (pool.append(chain, added, ceiling, work.isPrefetch)) {
                work.tokens.push(...added);
                work.rest.splice(0, added.length);
                if (work.isPrefetch) ahead += added.length;
              }
            } else if (item.type === "close") {
              const [chain] = [...working][item.chain] ?? [];
              if (chain === undefined) continue;
              if (item.owner !== null) pool.claim(chain, item.owner);
              if (item.isDrop) pool.drop(chain);
              else pool.close(chain);
              working.delete(chain);
              if (item.isDrop || item.owner !== null) pinned.clear();
            } else if (item.type === "value") pool.owners.setValue(item.owner, item.value, { ttl: 150 });
            else if (item.type === "release") pool.release(item.owner);
            else if (item.type === "evict") {
              pool.evict(item.owner);
              pinned.clear();
            } else if (item.type === "pin") pool.pin(item.owner, 120);
            else if (item.type === "time") clock.time += item.by;
            assertSound(pool);
            const blocks = residentBlocks(pool);
            // A pinned block that is cut short or grows is another block, but its tokens stay.
            const held = pool.chains.map((chain) => tokensOf(chain).join());
            for (const block of pinned)
              if (!blocks.has(block)) assert.ok(held.some((tokens) => tokens.includes(block.tokens.join())));
            for (const [chain, work] of working) assert.deepEqual(tokensOf(chain), work.tokens);
            const outstanding = [...blocks].reduce(
              (total, { prefetched }) => total + bitCount(prefetched),
              0,
            );
            assert.equal(pool.prefetch.used + pool.prefetch.wasted + outstanding, ahead);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test("the reused prefix is the longest that is resident, except for less than a block", () => {
    const request = fc.record({ family, branch, length });
    fc.assert(
      fc.property(order, fc.array(request, { minLength: 1, maxLength: 30 }), (by, requests) => {
        const { pool } = createPool(1000, by, 64);
        for (const item of requests) {
          const tokens = prompt(item.family, item.branch, item.length);
          const longest = Math.min(resident(pool, tokens), tokens.length - 1);
          assert.equal(play(pool, tokens), longest < blockTokens ? 0 : longest);
        }
      }),
      { numRuns: 200 },
    );
  });
});

function cut(tokens: readonly number[]): readonly (readonly number[])[] {
  return Array.from({ length: Math.ceil(tokens.length / blockTokens) }, (_, index) =>
    tokens.slice(index * blockTokens, (index + 1) * blockTokens),
  );
}

test("prompts that are cut into blocks begin as much alike as whole ones", () => {
  const tokens = fc.array(fc.constantFrom(1, 2), { maxLength: 60 });
  fc.assert(
    fc.property(tokens, tokens, fc.nat(60), (one, tail, kept) => {
      const other = [...one.slice(0, kept), ...tail];
      const [left, right] = [cut(one), cut(other)];
      // Blocks that both hold are the same object.
      const shared = right.map((block, index) =>
        kept >= (index + 1) * blockTokens ? (left[index] ?? block) : block,
      );
      assert.equal(commonInBlocks(left, shared), commonLength(one, other));
    }),
  );
});
