import { expect, test } from "vitest";
import { Contexts } from "../../src/learn/contexts.ts";
import { BUCKETS } from "../../src/learn/horizon.ts";

const share = (contexts: Contexts, key: number) => {
  const out = new Float64Array(BUCKETS);
  contexts.refine(key, 1, out);
  return out[0];
};

test("what was seen often outlives any number of contexts that were seen once", () => {
  const contexts = new Contexts();
  for (let i = 0; i < 9; i++) contexts.add(7, 0, 1);
  for (let key = 1000; key < 100_000; key++) contexts.add(key, 0, 1);
  // Nine samples of one outcome have a weight of 9/(9 + 1).
  expect(share(contexts, 7)).toBeCloseTo(0.9, 6);
  expect([...contexts.entries()].length).toBeLessThanOrEqual(1024);
});

test("a context that made room for another begins anew", () => {
  const contexts = new Contexts();
  for (let key = 1; key < 100_000; key++) contexts.add(key, 0, 1);
  for (const [, samples, counts] of contexts.entries()) expect([samples, counts]).toEqual([1, [1]]);
});

test("of a context that is not known nothing is said", () => {
  expect(share(new Contexts(), 7)).toBe(0);
});
