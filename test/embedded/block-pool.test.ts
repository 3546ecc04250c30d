import { describe, expect, test } from "vitest";
import { blockTokens, type Chain } from "../../src/embedded/cache/block.ts";
import type { BlockPool } from "../../src/embedded/cache/block-pool.ts";
import { createPool, play, prompt, resident } from "./pool.ts";

/** A request of an agent whose anchor of four blocks differs from user to user in its last one. */
function anchored(pool: BlockPool, user: number, run: string): void {
  const tokens = [...prompt(1, 1, 48), ...prompt(10 + user, 1, 16), ...prompt(100 + Number(run), 1, 16)];
  play(pool, tokens, run);
  const chain = pool.chains.find(({ blocks }) => blocks.at(-1)?.tokens[0] === tokens.at(64)) as Chain;
  pool.claimAnchor(chain, "anchor", 64, run);
}
function anchorTokens(pool: BlockPool): number {
  return blockTokens * (pool.owners.find("anchor")?.blocks.size ?? 0);
}

describe("sharing", () => {
  test("a prefix that two chains hold counts once", () => {
    const { pool } = createPool(100);
    play(pool, prompt(1, 1, 64));
    expect(play(pool, prompt(1, 2, 64))).toBe(32);
    expect(pool.residentTokens).toBe(96);
    expect(pool.resident).toBe(6);
  });

  test("a copied start of somebody else's block is a block of its own", () => {
    const { pool } = createPool(100);
    play(pool, prompt(1, 1, 40));
    expect(play(pool, prompt(1, 2, 40))).toBe(20);
    expect(pool.resident).toBe(1 + 2 + 2);
  });

  test("the same prompt again continues in place and reuses all but the last token", () => {
    const { pool } = createPool(100);
    play(pool, prompt(1, 1, 50));
    expect(play(pool, prompt(1, 1, 50))).toBe(49);
    expect(pool.resident).toBe(4);
    expect(pool.chains.filter(({ length: held }) => held > 0)).toHaveLength(1);
  });

  test("a request takes the place of what the same prefix left, but forks from anybody else's", () => {
    const { pool } = createPool(100);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(1, 2, 64), "a");
    expect(pool.chains.filter(({ length: held }) => held > 0)).toHaveLength(1);
    play(pool, prompt(1, 3, 64), "b");
    expect(pool.chains.filter(({ length: held }) => held > 0)).toHaveLength(2);
  });
});

describe("eviction", () => {
  test("lru drops the oldest use first, tail before head", () => {
    const { pool } = createPool(8, "lru");
    play(pool, prompt(1, 1, 64));
    play(pool, prompt(2, 1, 64));
    play(pool, prompt(1, 1, 64));
    play(pool, prompt(3, 1, 32));
    expect(resident(pool, prompt(1, 1, 64))).toBe(64);
    expect(resident(pool, prompt(2, 1, 64))).toBe(32);
    expect(pool.evicted).toBe(2);
  });

  test.each([
    ["scored drops the lowest value first, whatever its age", "scored", 64],
    ["lru does not look at values", "lru", 32],
  ] as const)("%s", (_, by, kept) => {
    const { pool } = createPool(8, by);
    pool.owners.setValue("old", 0.9);
    pool.owners.setValue("new", 0.1);
    play(pool, prompt(1, 1, 64), "old");
    play(pool, prompt(2, 1, 64), "new");
    play(pool, prompt(3, 1, 32));
    expect(resident(pool, prompt(1, 1, 64))).toBe(kept);
  });

  test("a block is worth what its anchor is, where that is more than its prompts are", () => {
    const { pool } = createPool(8);
    pool.owners.setValue("run", 0.1);
    pool.owners.setValue("anchor", 0.8);
    play(pool, prompt(1, 1, 64), "run");
    const chain = pool.chains.find(({ length: held }) => held === 64);
    pool.claimAnchor(chain as Chain, "anchor", 32, "run");
    pool.owners.setValue("other", 0.5);
    play(pool, prompt(2, 1, 64), "other");
    play(pool, prompt(3, 1, 64));
    expect(resident(pool, prompt(1, 1, 64))).toBe(32);
    expect(resident(pool, prompt(2, 1, 64))).toBe(32);
  });

  test.each([
    ["no answer", 64],
    ["an answer", 80],
  ])("a prompt's tail is worth what was said of it, with %s after it", (_, length) => {
    const { pool, clock } = createPool(9);
    // Of 64 tokens of a prompt the last 20, which begin in the middle of a block that counts to what stands before.
    pool.owners.setValue("a", 0.9, { tail: { tokens: 20, value: 0.1, later: [[100, 0.8]] } });
    pool.owners.setValue("b", 0.5);
    const tokens = prompt(1, 1, length);
    const opened = pool.open(tokens, { limit: length, owner: "a", ceiling: Infinity, isRequest: true });
    const chain = opened?.chain as Chain;
    pool.append(chain, tokens, Infinity);
    pool.claim(chain, "a", length, 64);
    pool.close(chain);
    play(pool, prompt(2, 1, 64), "b");
    const left = () => [resident(pool, tokens), resident(pool, prompt(2, 1, 64))];
    play(pool, prompt(3, 1, 80), "c");
    // Five blocks are needed: the tail goes, then the other prompt.
    expect(left()).toEqual([48, 16]);
    expect(pool.owners.worth("a")).toBe(0.9);
    clock.time = 100;
    pool.owners.setValue("a", 0.9);
    expect(left()).toEqual([48, 16]);
  });

  test("what a tail is worth goes on as it was said, and another word takes its place", () => {
    const { pool, clock } = createPool(8);
    pool.owners.setValue("a", 0.9, { tail: { tokens: 32, value: 0.1, later: [[100, 0.8]] } });
    play(pool, prompt(1, 1, 64), "a");
    const chain = pool.chains.find(({ length }) => length === 64) as Chain;
    const values = () => chain.blocks.map((block) => pool.owners.valueOf(block));
    expect(values()).toEqual([0.9, 0.9, 0.1, 0.1].map((value) => expect.closeTo(value)));
    clock.time = 50;
    expect(values()).toEqual([0.9, 0.9, 0.45, 0.45].map((value) => expect.closeTo(value)));
    pool.owners.setValue("a", 0.3);
    expect(values()).toEqual([0.3, 0.3, 0.3, 0.3].map((value) => expect.closeTo(value)));
  });

  test("what several prompts hold is worth what they are together", () => {
    const { pool } = createPool(10);
    pool.owners.setValue("one", 0.3);
    pool.owners.setValue("two", 0.3);
    pool.owners.setValue("other", 0.4);
    // Two questions about one document of two blocks.
    play(pool, prompt(1, 1, 64), "one");
    play(pool, prompt(1, 2, 64), "two");
    play(pool, prompt(2, 1, 64), "other");
    play(pool, prompt(3, 1, 96));
    expect(resident(pool, prompt(1, 1, 64))).toBe(32);
    expect(resident(pool, prompt(2, 1, 64))).toBe(32);
  });

  test("an anchor is what the latest prompts of two runs begin with alike", () => {
    const { pool } = createPool(100);
    anchored(pool, 1, "1");
    expect(anchorTokens(pool)).toBe(64);
    anchored(pool, 2, "2");
    expect(anchorTokens(pool)).toBe(48);
    // The same run again says nothing about others.
    anchored(pool, 2, "2");
    expect(anchorTokens(pool)).toBe(48);
    anchored(pool, 2, "3");
    expect(anchorTokens(pool)).toBe(64);
  });

  test("a value counts until its time is over, and a release ends it at once", () => {
    const { pool, clock } = createPool(8);
    pool.owners.setValue("a", 0.9, { ttl: 100 });
    pool.owners.setValue("b", 0.5);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(2, 1, 64), "b");
    clock.time = 101;
    play(pool, prompt(3, 1, 16));
    expect(resident(pool, prompt(1, 1, 64))).toBe(48);
    expect(pool.release("b")).toBe(64);
    clock.time = 0;
    play(pool, prompt(4, 1, 16));
    expect(resident(pool, prompt(1, 1, 64))).toBe(48);
  });

  test("a value that was said to rise does so between its points, and stays as it is after the last", () => {
    const { pool, clock } = createPool(8);
    pool.owners.setValue("a", 0.1, {
      later: [
        [100, 0.5],
        [200, 0.3],
      ],
    });
    const worth = (time: number) => {
      clock.time = time;
      return pool.owners.worth("a");
    };
    expect([0, 50, 100, 150, 200, 999].map(worth)).toEqual(
      [0.1, 0.3, 0.5, 0.4, 0.3, 0.3].map((value) => expect.closeTo(value)),
    );
    clock.time = 50;
    expect(pool.owners.isRising("a")).toBe(true);
    clock.time = 150;
    expect(pool.owners.isRising("a")).toBe(false);
    expect([pool.owners.worth("unknown"), pool.owners.isRising("unknown")]).toEqual([0, false]);
  });

  test("what is dropped goes by the values of the moment, not by those that were sent", () => {
    const { pool, clock } = createPool(8);
    pool.owners.setValue("soon", 0.2, { later: [[100, 0.9]] });
    pool.owners.setValue("steady", 0.5);
    play(pool, prompt(1, 1, 64), "soon");
    play(pool, prompt(2, 1, 64), "steady");
    clock.time = 90;
    play(pool, prompt(3, 1, 32));
    expect(resident(pool, prompt(1, 1, 64))).toBe(64);
    expect(resident(pool, prompt(2, 1, 64))).toBe(32);
  });

  test("a prefetch displaces only what is worth less than itself", () => {
    const { pool } = createPool(8);
    pool.owners.setValue("a", 0.5);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(2, 1, 32));
    const opened = pool.open(prompt(3, 1, 96), { limit: 96, ceiling: 0.4, isRequest: false });
    const chain = opened?.chain as Chain;
    expect(pool.append(chain, prompt(3, 1, 64), 0.4, true)).toBe(true);
    expect(pool.append(chain, prompt(3, 1, 96).slice(64), 0.4, true)).toBe(false);
    expect(resident(pool, prompt(1, 1, 64))).toBe(64);
    expect(resident(pool, prompt(2, 1, 32))).toBe(0);
  });

  test("evict erases what nobody else owns; the rest stays", () => {
    const { pool } = createPool(100);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(1, 2, 64), "b");
    expect(pool.evict("a")).toBe(32);
    expect(resident(pool, prompt(1, 1, 64))).toBe(32);
    expect(resident(pool, prompt(1, 2, 64))).toBe(64);
  });

  test("when sequences run out, the least valuable idle one is given up", () => {
    const { pool } = createPool(100, "scored", 2);
    pool.owners.setValue("a", 0.9);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(2, 1, 64));
    play(pool, prompt(3, 1, 64));
    expect(resident(pool, prompt(1, 1, 64))).toBe(64);
    expect(resident(pool, prompt(2, 1, 64))).toBe(0);
  });
});

describe("pins", () => {
  test("a pinned prefix outlives any pressure until it is released", () => {
    const { pool } = createPool(8);
    play(pool, prompt(1, 1, 64), "a");
    expect(pool.pin("a")).toBeUndefined();
    for (let other = 2; other < 6; other++) play(pool, prompt(other, 1, 60));
    expect(resident(pool, prompt(1, 1, 64))).toBe(64);
    pool.release("a");
    play(pool, prompt(7, 1, 120));
    expect(resident(pool, prompt(1, 1, 64))).toBe(0);
  });

  test("pins past three quarters of the budget are refused, as are pins of nothing", () => {
    const { pool } = createPool(8);
    play(pool, prompt(1, 1, 64), "a");
    play(pool, prompt(2, 1, 48), "b");
    expect(pool.pin("nobody")).toContain("nothing is resident");
    expect(pool.pin("a")).toBeUndefined();
    expect(pool.pin("b")).toContain("at most 6");
  });
});

test("thousands of blocks are matched, added and evicted in well under a millisecond each", () => {
  const { pool } = createPool(4096, "scored", 256);
  const started = performance.now();
  let appended = 0;
  for (let index = 0; index < 200; index++) {
    pool.owners.setValue(`run-${index}`, ((index * 7919) % 97) / 97);
    const tokens = prompt(index % 10, index, 3000);
    play(pool, tokens, `run-${index}`);
    appended += Math.ceil(tokens.length / blockTokens);
  }
  expect(pool.resident).toBeLessThanOrEqual(4096);
  expect(pool.evicted).toBeGreaterThan(1000);
  expect((performance.now() - started) / appended).toBeLessThan(0.5);
});
