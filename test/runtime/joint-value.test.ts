import * as fc from "fast-check";
import { expect, test } from "vitest";
import { jointValue, jointValueOf } from "../../src/runtime/joint-value.ts";

const value = fc.double({ min: 0, max: 1, noNaN: true });

test("rates add up: one use a step and one in three make four in three", () => {
  expect(jointValue(1 / 2, 1 / 4)).toBeCloseTo(4 / 7, 12);
});

test("it is a value, no less than either and the same in any order; with nothing it is the other one, to the bit", () => {
  fc.assert(
    fc.property(value, value, (one, other) => {
      const joint = jointValue(one, other);
      expect(joint).toBe(jointValue(other, one));
      expect(joint).toBeLessThanOrEqual(1);
      expect(joint).toBeGreaterThanOrEqual(Math.max(one, other) - 1e-12);
      expect(jointValue(one, 0)).toBe(one);
      expect(jointValue(1, one)).toBe(1);
    }),
  );
});

test("of equal ones it is what they come to one by one", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      fc.integer({ min: 1, max: 8 }),
      (one, reasons) => {
        const joint = Array.from({ length: reasons }, () => one).reduce(jointValue, 0);
        expect(jointValueOf(reasons, one)).toBeCloseTo(joint, 12);
      },
    ),
  );
});
