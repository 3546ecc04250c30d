import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PLACES, placeOf, Survival } from "../../src/learn/survival.ts";

const places = Array.from({ length: PLACES }, (_, place) => place);

test("places grow with the distance from the prompt's end", () => {
  expect([0, 63, 64, 91, 128].map(placeOf)).toEqual([0, 0, 1, 2, 3]);
  expect(placeOf(Number.POSITIVE_INFINITY)).toBe(PLACES - 1);
});

test("everything survives until something was seen", () => {
  expect(places.map((place) => new Survival().kept(1, true, place))).toEqual(places.map(() => 1));
});

test("what is nearer to the end never survives more often", () => {
  const losses = fc.array(fc.oneof(fc.nat(100_000), fc.constant(Number.POSITIVE_INFINITY)), { minLength: 1 });
  fc.assert(
    fc.property(losses, fc.boolean(), (lost, isNow) => {
      const survival = new Survival();
      for (const [i, characters] of lost.entries()) survival.returned(1, i % 2 === 0, characters);
      const kept = places.map((place) => survival.kept(1, isNow, place));
      expect(kept).toEqual(kept.toSorted((a, b) => a - b));
      expect(Math.max(...kept)).toBeLessThanOrEqual(1);
    }),
  );
});

test("a task that is over is told from one that goes on", () => {
  const survival = new Survival();
  for (let i = 0; i < 50; i++) {
    survival.returned(1, true, 0);
    survival.returned(1, false, Number.POSITIVE_INFINITY);
  }
  expect(survival.kept(1, true, 5)).toBeGreaterThan(0.95);
  expect(survival.kept(1, false, 5)).toBeLessThan(0.05);
});

const seen = (lost: readonly number[]) => {
  const survival = new Survival();
  for (const [i, characters] of lost.entries()) survival.returned(1, i % 3 === 0, characters);
  return survival;
};
const merged = (...parts: readonly Survival[]) => {
  const total = new Survival();
  for (const part of parts) total.restore(part.snapshot(), (agent) => agent);
  return total.snapshot();
};

test("counts of two processes add up, in either order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(9999), { maxLength: 30 }),
      fc.array(fc.nat(9999), { maxLength: 30 }),
      (a, b) => {
        expect(merged(seen(a), seen(b))).toEqual(merged(seen(b), seen(a)));
      },
    ),
  );
});
