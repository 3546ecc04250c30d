import * as fc from "fast-check";
import { expect, test } from "vitest";
import { rateToValue } from "../../src/learn/value.ts";

const rate = fc.double({ min: 1e-6, max: 1e3, noNaN: true });
const rateOf = (value: number) => value / (1 - value);

test("a value is in [0, 1) and rises with the rate", () => {
  fc.assert(
    fc.property(rate, rate, (one, other) => {
      const [low, high] = [rateToValue(Math.min(one, other)), rateToValue(Math.max(one, other))];
      expect(low).toBeGreaterThan(0);
      expect(high).toBeLessThan(1);
      expect(low).toBeLessThanOrEqual(high);
    }),
  );
});

test("a class is a quarter wide: the value's rate is no further from the rate than half of that", () => {
  fc.assert(
    fc.property(rate, (given) => {
      expect(Math.abs(Math.log(rateOf(rateToValue(given)) / given))).toBeLessThanOrEqual(
        Math.log(1.25) / 2 + 1e-6,
      );
    }),
  );
});

test("rates that differ by chance have the same value, others have not", () => {
  expect(rateToValue(0.98)).toBe(rateToValue(0.95));
  expect(rateToValue(1)).toBe(0.5);
  expect(rateToValue(0.5)).toBeLessThan(rateToValue(0.75));
});

test("what is never used again is worth nothing", () => {
  expect(rateToValue(0)).toBe(0);
  expect(rateToValue(Number.NaN)).toBe(0);
});
