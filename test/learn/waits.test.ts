import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Waits } from "../../src/learn/waits.ts";

const seen = (...milliseconds: readonly number[]) => {
  const waits = new Waits();
  for (const one of milliseconds) waits.add(one);
  return waits;
};
const many = (count: number, milliseconds: number) => Array.from({ length: count }, () => milliseconds);
const times = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 40 });

describe("the rate at which what has gone on so long ends", () => {
  test("is about one over the time it takes", () => {
    expect(seen(...many(200, 1000)).rate(0, 0)).toBeGreaterThan(1 / 1500);
    expect(seen(...many(200, 1000)).rate(0, 0)).toBeLessThan(1 / 500);
  });

  test("falls as that is exceeded: what has been idle for long stays idle for long", () => {
    // Half are back within a second, half after a quarter of an hour.
    const waits = seen(...many(100, 700), ...many(100, 900_000));
    expect(waits.rate(0, 1)).toBeGreaterThan(20 * waits.rate(2000, 1));
    expect(waits.rate(2_000_000, 1)).toBeLessThan(waits.rate(2000, 1));
  });

  test("does not hang on a chance to end at once when nobody looks for a second", () => {
    // One in a hundred ends within a millisecond, else it takes ten seconds; against a sure four seconds.
    const mixed = seen(1, ...many(99, 10_000));
    const sure = seen(...many(100, 4000));
    expect(mixed.rate(0, 0)).toBeGreaterThan(sure.rate(0, 0));
    expect(mixed.rate(0, 1000)).toBeLessThan(sure.rate(0, 1000));
  });

  test("is positive and finite whatever was seen", () => {
    fc.assert(
      fc.property(times, fc.nat(1_000_000), fc.nat(10_000), (given, elapsed, tick) => {
        const rate = seen(...given).rate(elapsed, tick);
        expect(rate).toBeGreaterThan(0);
        expect(rate).toBeLessThanOrEqual(1e4);
      }),
    );
  });
});

test("the rate is a number also at the very end of a class of times", () => {
  const waits = seen(...many(10, 1000), ...many(10, 1100));
  for (let quarter = 0; quarter < 60; quarter++)
    for (const nearly of [
      2 ** (quarter / 4),
      2 ** (quarter / 4) * (1 - Number.EPSILON),
      2 ** (quarter / 4) * (1 - 1e-15),
    ])
      expect(waits.rate(nearly, 0)).toSatisfy((rate: number) => rate > 0 && rate <= 1);
});

test("a quantile is within its doubling", () => {
  const waits = seen(...many(10, 100), ...many(90, 5000));
  expect(waits.quantile(0.05)).toBeGreaterThanOrEqual(64);
  expect(waits.quantile(0.05)).toBeLessThanOrEqual(128);
  expect(waits.quantile(0.5)).toBeGreaterThanOrEqual(4096);
  expect(new Waits().quantile(0.5)).toBe(0);
});

const merged = (...parts: readonly Waits[]) => {
  const total = new Waits();
  for (const part of parts) total.restore(part.snapshot());
  return total.snapshot();
};

test("counts of two processes add up, in either order", () => {
  fc.assert(
    fc.property(times, times, (a, b) => {
      expect(merged(seen(...a), seen(...b))).toEqual(merged(seen(...b), seen(...a)));
      expect(merged(seen(...a), seen(...b))).toEqual(seen(...a, ...b).snapshot());
    }),
  );
});
