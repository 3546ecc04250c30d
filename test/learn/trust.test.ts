import { expect, test } from "vitest";
import { Trust } from "../../src/learn/trust.ts";

/** Contexts of 5 samples with 3 outcomes; what came was seen so often in its context, and had this chance without it. */
function learn(trust: Trust, count: number, below: number): Trust {
  for (let i = 0; i < 50; i++) trust.came(count, 5, 3, below);
  return trust;
}

test("contexts that tell more than the level below are trusted as Witten and Bell do", () => {
  const trust = learn(new Trust(), 4, 0.1);
  expect(trust.doubt).toBe(1);
  // (4 + 3 * 0.1) / (5 + 3)
  expect(trust.came(4, 5, 3, 0.1)).toBeCloseTo(4.3 / 8, 12);
});

test("contexts that mislead are doubted, and trusted again once they do not", () => {
  const trust = learn(new Trust(), 0, 0.5);
  expect(trust.doubt).toBe(64);
  // (0 + 64 * 3 * 0.5) / (5 + 64 * 3)
  expect(trust.came(0, 5, 3, 0.5)).toBeCloseTo(96 / 197, 12);
  expect(learn(learn(trust, 5, 0.1), 5, 0.1).doubt).toBe(1);
});
