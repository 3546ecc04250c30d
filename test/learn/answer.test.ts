import { expect, test } from "vitest";
import { ANSWERS, answerOf, toolsOf, UNKNOWN } from "../../src/learn/answer.ts";

test("nothing known is UNKNOWN", () => {
  expect(answerOf(undefined, undefined)).toBe(UNKNOWN);
  expect(answerOf(undefined, 0)).toBe(UNKNOWN);
  expect(answerOf(undefined, Number.NaN)).toBe(UNKNOWN);
});

test("lengths are told apart by doublings, and from the asking for tools", () => {
  expect(answerOf(true, 5)).toBe(answerOf(true, 7));
  expect(answerOf(true, 7)).not.toBe(answerOf(true, 8));
  expect(answerOf(true, 7)).not.toBe(answerOf(false, 7));
  expect([undefined, false, true].map((asked) => toolsOf(answerOf(asked, 300)))).toEqual([0, 1, 2]);
});

test("all answers are below ANSWERS", () => {
  for (const tokens of [1, 8191, 8192, 1e6, Number.POSITIVE_INFINITY])
    for (const asked of [undefined, false, true]) expect(answerOf(asked, tokens)).toBeLessThan(ANSWERS);
});
