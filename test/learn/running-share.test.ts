import { expect, test } from "vitest";
import { RunningShare } from "../../src/learn/running-share.ts";

test("is the mean of the first samples, and follows the latest ones from then on", () => {
  const share = new RunningShare(4);
  expect(share.value).toBe(0);
  for (const sample of [1, 0, 1, 0]) share.add(sample);
  expect(share.value).toBe(0.5);
  share.add(1);
  expect(share.value).toBe(0.5 + 0.5 / 4);
  for (let i = 0; i < 40; i++) share.add(1);
  expect(share.value).toBeCloseTo(1, 4);
});
