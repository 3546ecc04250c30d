import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ScoredCache } from "../../src/sim/scored-cache.ts";

const BLOCKS = 10;
const score = fc.oneof(fc.integer({ min: 0, max: 2 }), fc.constantFrom(-Infinity, Infinity));
const steps = fc.array(
  fc.record({
    blocks: fc.uniqueArray(fc.integer({ min: 0, max: BLOCKS - 1 }), { maxLength: 6 }),
    /** By block, as they are when blocks are taken after this prompt. */
    scores: fc.array(score, { minLength: BLOCKS, maxLength: BLOCKS }),
    takes: fc.nat(8),
  }),
);

test("takes the lowest scores, among equals what was used longest ago, then the deepest", () => {
  fc.assert(
    fc.property(steps, (given) => {
      let scores: readonly number[] = [];
      const cache = new ScoredCache(BLOCKS, (block) => scores[block] ?? 0);
      const model = new Map<number, { readonly usedAt: number; readonly position: number }>();
      for (const [index, step] of given.entries()) {
        scores = step.scores;
        cache.insert({
          index,
          run: 0,
          session: undefined,
          agent: "agent",
          blocks: Int32Array.from(step.blocks),
          ...rest,
        });
        for (const [position, block] of step.blocks.entries()) model.set(block, { usedAt: index, position });
        const order = [...model].toSorted(
          ([one, a], [other, b]) =>
            compare(step.scores[one] ?? 0, step.scores[other] ?? 0) ||
            a.usedAt - b.usedAt ||
            b.position - a.position,
        );
        const count = Math.min(step.takes, model.size);
        const taken = Array.from({ length: count }, (_, i) => cache.take(count - i));
        expect(taken).toEqual(order.slice(0, count).map(([block]) => block));
        for (const block of taken) model.delete(block);
      }
    }),
  );
});

test("rates with position and time of the last use", () => {
  const rated: unknown[] = [];
  const cache = new ScoredCache(2, (...given) => rated.push(given));
  const arrival = { run: 0, session: undefined, agent: "agent", ...rest };
  cache.insert({ ...arrival, index: 0, blocks: Int32Array.of(0, 1) });
  cache.insert({ ...arrival, index: 1, blocks: Int32Array.of(1) });
  cache.take(1);
  expect(rated).toEqual([
    [0, 0, 0],
    [1, 0, 1],
  ]);
});

test("an empty cache has nothing to take", () => {
  expect(() => new ScoredCache(1, () => 0).take(1)).toThrow("the cache is empty");
});

const rest = { anchorBlocks: 0, step: undefined, namespace: undefined, at: 0 };

/** Without a difference, which two infinities do not have. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
