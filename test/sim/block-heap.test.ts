import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BlockHeap } from "../../src/sim/block-heap.ts";

interface Rank {
  readonly key: number;
  readonly tie: number;
}

const keys = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(-Infinity, Infinity));
const set = fc.record({
  block: fc.integer({ min: 0, max: 7 }),
  key: keys,
  tie: fc.integer({ min: 0, max: 3 }),
});
const take = fc.constant(undefined);

/** Plays the steps on a heap and on a map, and takes out all that is left at the end. */
function compare(steps: readonly (typeof set extends fc.Arbitrary<infer T> ? T | undefined : never)[]): void {
  const heap = new BlockHeap(8);
  const model = new Map<number, Rank>();
  const takeOne = () => {
    const best = [...model.values()].toSorted((a, b) =>
      a.key === b.key ? b.tie - a.tie : a.key > b.key ? -1 : 1,
    )[0];
    const block = heap.take();
    // Which of two blocks that are alike comes first is left open.
    expect(model.get(block)).toEqual(best);
    model.delete(block);
  };
  for (const step of steps)
    if (step) {
      heap.set(step.block, step.key, step.tie);
      model.set(step.block, { key: step.key, tie: step.tie });
    } else if (model.size > 0) takeOne();
  while (model.size > 0) takeOne();
  expect(() => heap.take()).toThrow("no block is in the heap");
}

test("takes the block of the largest key, of equal keys the one with the larger tie", () => {
  fc.assert(fc.property(fc.array(fc.oneof(set, take)), compare));
});

test("takes the same after its stale entries were swept out", () => {
  const many = fc.array(fc.oneof({ weight: 20, arbitrary: set }, take), { minLength: 3000, maxLength: 3000 });
  fc.assert(fc.property(many, compare), { numRuns: 5 });
});
