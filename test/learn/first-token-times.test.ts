import { expect, test } from "vitest";
import { FirstTokenTimes } from "../../src/learn/first-token-times.ts";

/** Calls in turn at two servers, of which a token takes so many milliseconds beside 20 for each call. */
function measured(perToken: readonly [number, number], tokensOf: (server: number, i: number) => number) {
  const times = new FirstTokenTimes();
  for (let i = 0; i < 200; i++) {
    const server = i % 2;
    const tokens = tokensOf(server, i);
    times.add(`${server}`, tokens, 20 + tokens * (perToken[server] as number));
  }
  return times;
}

test("a server with a better cache is not taken for a slow one", () => {
  const times = measured([0.1, 0.1], (server, i) => (server === 0 ? 10 + (i % 7) : 1000 + i));
  expect([times.slowness("0"), times.slowness("1")]).toEqual([1, 1]);
  expect(times.overhead).toBeCloseTo(200, 0);
});

test("a slow one is told, and comes back from JSON", () => {
  const times = measured([0.1, 0.5], (_server, i) => 100 + (i % 10) * 100);
  expect(times.slowness("1")).toBeGreaterThan(1.5);
  expect(times.slowness("0")).toBeLessThanOrEqual(1);
  const again = new FirstTokenTimes();
  again.restore(JSON.parse(JSON.stringify(times.snapshot())) as Record<string, number>);
  expect(again.slowness("1")).toBe(times.slowness("1"));
});

test("one call that stalls changes little, and nothing is said of a server that was hardly used", () => {
  const times = measured([0.1, 0.1], (_server, i) => 100 + (i % 10) * 100);
  times.add("1", 500, 60_000);
  expect(times.slowness("1")).toBe(1);
  for (let i = 0; i < 3; i++) times.add("new", 500, 5000);
  expect(times.slowness("new")).toBe(1);
});
