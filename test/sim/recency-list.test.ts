import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RecencyList } from "../../src/sim/recency-list.ts";

const BLOCKS = 6;
const block = fc.integer({ min: 0, max: BLOCKS - 1 });
const steps = fc.array(
  fc.oneof(
    fc.record({ type: fc.constantFrom("use" as const, "remove" as const), block }),
    fc.record({ type: fc.constant("prompt" as const), blocks: fc.uniqueArray(block) }),
    fc.record({ type: fc.constant("take" as const) }),
  ),
);

test("keeps blocks as an array, oldest first, would", () => {
  fc.assert(
    fc.property(steps, (given) => {
      const list = new RecencyList(BLOCKS);
      let model: number[] = [];
      for (const step of given) {
        let taken: number | undefined;
        let oldest: number | undefined;
        if (step.type === "use") {
          list.use(step.block);
          model = [...model.filter((other) => other !== step.block), step.block];
        } else if (step.type === "remove") {
          list.remove(step.block);
          model = model.filter((other) => other !== step.block);
        } else if (step.type === "prompt") {
          list.usePrompt(Int32Array.from(step.blocks));
          model = [...model.filter((other) => !step.blocks.includes(other)), ...step.blocks.toReversed()];
        } else if (model.length > 0) {
          taken = list.takeOldest();
          oldest = model.shift();
        }
        expect(taken).toBe(oldest);
        expect(walk(list)).toEqual(model);
        for (let other = 0; other < BLOCKS; other++) expect(list.has(other)).toBe(model.includes(other));
      }
    }),
  );
});

test("a block that is not in the list has no newer one, and none is taken from an empty list", () => {
  const list = new RecencyList(2);
  list.use(0);
  expect(list.newer(1)).toBeUndefined();
  list.remove(0);
  expect(list.newer(0)).toBeUndefined();
  expect(list.oldest).toBeUndefined();
  expect(() => list.takeOldest()).toThrow("no block is in the list");
});

test("of several lists a block is in one", () => {
  const list = new RecencyList(4, 2);
  for (const used of [0, 1, 2]) list.use(used, used === 1 ? 1 : 0);
  expect([list.oldestOf(0), list.newer(0), list.newer(2), list.oldestOf(1), list.newer(1)]).toEqual([
    0,
    2,
    undefined,
    1,
    undefined,
  ]);
  list.use(0, 1);
  expect([list.oldestOf(0), list.oldestOf(1), list.newer(1)]).toEqual([2, 1, 0]);
  list.remove(1);
  expect([list.has(1), list.oldestOf(1)]).toEqual([false, 0]);
});

function walk(list: RecencyList): number[] {
  const found: number[] = [];
  for (let at = list.oldest; at !== undefined; at = list.newer(at)) found.push(at);
  return found;
}
