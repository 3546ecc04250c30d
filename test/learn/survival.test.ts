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

/** Of agent 1, of a history of 4,096 characters, after returns that lost so many. */
const tailAfter = (...lost: readonly number[]) => {
  const survival = new Survival();
  for (const characters of lost) for (let i = 0; i < 20; i++) survival.returned(1, 2, characters);
  return survival.tail(1, 4096);
};

test("a prompt is cut where its last message is lost, and nowhere where all goes or stays alike", () => {
  expect(new Survival().tail(1, 4096)).toBe(0);
  expect(tailAfter(0)).toBe(0);
  expect(tailAfter(Number.POSITIVE_INFINITY)).toBe(0);
  // Told apart by sqrt 2 are 724, 1,024, 1,448 and 2,048 characters from the end.
  expect(tailAfter(1000)).toBe(1024);
  expect(tailAfter(1000, 1400, 0)).toBe(1448);
  expect(tailAfter(200, 2048, 2048, 2048)).toBe(2048);
});

test("where a prompt is cut follows what was seen since, by oneself or by others", () => {
  const survival = new Survival();
  survival.returned(1, 2, 1000);
  expect(survival.tail(1, 4096)).toBe(1024);
  for (let i = 0; i < 200; i++) survival.returned(1, 2, 2000);
  expect(survival.tail(1, 4096)).toBe(2048);
  const other = new Survival();
  for (let i = 0; i < 2000; i++) other.returned(1, 2, 500);
  survival.restore(other.snapshot(), (agent) => agent);
  expect(survival.tail(1, 4096)).toBe(512);
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
