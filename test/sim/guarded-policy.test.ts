import * as fc from "fast-check";
import { expect, test } from "vitest";
import lru from "../../src/sim/baselines/lru.ts";
import type { Baseline, CacheContext, CachePolicy } from "../../src/sim/cache-policy.ts";
import { GuardedPolicy } from "../../src/sim/guarded-policy.ts";
import { RecencyList } from "../../src/sim/recency-list.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule } from "../../src/sim/schedule.ts";
import { chainedWorkload } from "./random-workload.ts";
import { written } from "./written-schedule.ts";

/** Evicts what was used last: right for a loop that does not fit, wrong for what comes back soon. */
function mostRecent({ blockCount }: CacheContext): CachePolicy {
  const recency = new RecencyList(blockCount);
  return {
    request: ({ blocks }) => recency.usePrompt(blocks),
    victim() {
      let newest = recency.oldest;
      for (let next = newest; next !== undefined; next = recency.newer(next)) newest = next;
      if (newest === undefined) throw new Error("no block is in the list");
      recency.remove(newest);
      return newest;
    },
  };
}
const unguarded: Baseline = { name: "mru", description: "most recent", source: "test", create: mostRecent };
const guarded: Baseline = {
  name: "guarded",
  description: "most recent, guarded",
  source: "test",
  create: (context) => new GuardedPolicy(context, mostRecent),
};
const hits = (baseline: Baseline, trace: string, capacity: number) =>
  replay(written(trace), baseline, { capacity }).hits;

test("a policy that is right is followed to the letter", () => {
  // A loop over 4 blocks with room for 3: LRU never hits, MRU keeps some of them.
  const loop = "a b c d ".repeat(50).trim();
  expect(hits(lru, loop, 3)).toBe(0);
  expect(hits(unguarded, loop, 3)).toBeGreaterThan(100);
  expect(hits(guarded, loop, 3)).toBe(hits(unguarded, loop, 3));
});

test("a policy that is wrong costs some calls, then the cache is LRU's", () => {
  // Each block comes twice in a row, never again but 24 calls later: with room for 2 LRU hits every second call.
  const twice = Array.from("abcdefghijkl".repeat(25), (block) => `${block} ${block}`).join(" ");
  expect(hits(lru, twice, 2)).toBe(300);
  expect(hits(unguarded, twice, 2)).toBeLessThan(150);
  expect(hits(guarded, twice, 2)).toBeGreaterThan(280);
});

test("keeps its books on any workload", () => {
  const settings = fc.record({ concurrency: fc.integer({ min: 1, max: 4 }), seed: fc.nat(1000) });
  fc.assert(
    fc.property(chainedWorkload, settings, fc.integer({ min: 1, max: 12 }), (workload, given, capacity) => {
      const { touches, hits: found } = replay(schedule(workload, given), guarded, { capacity });
      expect(found).toBeLessThanOrEqual(touches);
    }),
  );
});

test("a block that stands twice in a prompt is one in the cache", () => {
  expect(replay(written("abab ccdd efef"), guarded, { capacity: 2 })).toMatchObject({
    hits: 0,
    evictions: 4,
  });
});
