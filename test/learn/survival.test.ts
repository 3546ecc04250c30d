import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PLACES, placeOf, returnOf, RETURNS, Survival } from "../../src/learn/survival.ts";

const places = Array.from({ length: PLACES }, (_, place) => place);
/** Of agent 1, for a return after so many steps. */
const kept = (survival: Survival, steps: number, place: number) =>
  survival.kept(1, place, new Float64Array(RETURNS))[returnOf(steps)] as number;

test("places grow with the distance from the prompt's end", () => {
  expect([0, 63, 64, 91, 128].map(placeOf)).toEqual([0, 0, 1, 2, 3]);
  expect(placeOf(Number.POSITIVE_INFINITY)).toBe(PLACES - 1);
});

test("everything survives until something was seen", () => {
  expect(places.map((place) => kept(new Survival(), 1, place))).toEqual(places.map(() => 1));
});

test("what is nearer to the end never survives more often", () => {
  const losses = fc.array(fc.oneof(fc.nat(100_000), fc.constant(Number.POSITIVE_INFINITY)), { minLength: 1 });
  fc.assert(
    fc.property(losses, fc.integer({ min: 1, max: 12 }), (lost, steps) => {
      const survival = new Survival();
      for (const [i, characters] of lost.entries()) survival.returned(1, 1 + (i % 12), characters);
      const survived = places.map((place) => kept(survival, steps, place));
      expect(survived).toEqual(survived.toSorted((a, b) => a - b));
      expect(Math.max(...survived)).toBeLessThanOrEqual(1);
    }),
  );
});

test("a task that is over is told from one that goes on", () => {
  const survival = new Survival();
  for (let i = 0; i < 50; i++) {
    survival.returned(1, 1, 0);
    survival.returned(1, 2 + (i % 20), Number.POSITIVE_INFINITY);
  }
  expect(kept(survival, 1, 5)).toBeGreaterThan(0.95);
  expect(kept(survival, 3, 5)).toBeLessThan(0.05);
  expect(survival.keptLater(1, 5)).toBeLessThan(0.05);
});

test("a dialogue that is answered in turn is told from one that is taken up anew after others", () => {
  const survival = new Survival();
  for (let i = 0; i < 50; i++) {
    survival.returned(1, 2, 0);
    survival.returned(1, 7, Number.POSITIVE_INFINITY);
  }
  expect([1, 2, 7].map((steps) => Math.round(10 * kept(survival, steps, 5)))).toEqual([5, 10, 0]);
});

const seen = (lost: readonly number[]) => {
  const survival = new Survival();
  for (const [i, characters] of lost.entries()) survival.returned(1, 1 + (i % 3), characters);
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
