import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Duel } from "../../src/learn/duel.ts";

test("the first leads until the second is ahead by more than chance", () => {
  const duel = new Duel();
  // With one call lost the second is ahead by 5 in seven calls, less than 2 sqrt(7), and by 6 in eight, more than 2 sqrt(8).
  expect(duel.score(1, 0)).toBe(false);
  for (let call = 2; call <= 7; call++) expect(duel.score(0, 1)).toBe(false);
  expect(duel.score(0, 1)).toBe(true);
  expect(duel.hasSecondLead).toBe(true);
});

test("a lead is lost again to one that does better from then on", () => {
  const duel = new Duel();
  for (let i = 0; i < 200; i++) duel.score(0, 1);
  expect(duel.hasSecondLead).toBe(true);
  for (let i = 0; i < 400; i++) duel.score(1, 0);
  expect(duel.hasSecondLead).toBe(false);
});

test("what is long past does not count: after 10,000 calls of one, 3,000 of the other are enough", () => {
  const duel = new Duel();
  for (let i = 0; i < 10_000; i++) duel.score(0, 1);
  for (let i = 0; i < 3000; i++) duel.score(1, 0);
  expect(duel.hasSecondLead).toBe(false);
});

test("equal scores change nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), (scores) => {
      const duel = new Duel();
      expect(scores.map((score) => duel.score(score, score))).not.toContain(true);
    }),
  );
});
