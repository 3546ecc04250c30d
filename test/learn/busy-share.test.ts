import { expect, test } from "vitest";
import { BusyShare } from "../../src/learn/busy-share.ts";

test("an engine of which nothing is known counts as busy, one that rests for long as idle", () => {
  const share = new BusyShare();
  expect(share.at(0)).toBe(1);
  expect(share.at(60_000)).toBeLessThan(0.001);
});

test("calls that take a third of the time make a third, however many go at once", () => {
  const share = new BusyShare();
  for (let at = 0; at < 60_000; at += 30) {
    share.started(at);
    share.started(at + 2);
    share.ended(at + 5);
    share.ended(at + 10);
  }
  expect(share.at(60_000)).toBeCloseTo(1 / 3, 2);
});

test("ends of calls whose start nobody saw change nothing", () => {
  const share = new BusyShare();
  share.ended(0);
  share.started(0);
  expect(share.at(60_000)).toBeGreaterThan(0.999);
});
