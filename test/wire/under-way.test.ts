import { expect, test } from "vitest";
import { UnderWay } from "../../src/wire/under-way.ts";

const TEN_MINUTES = 600_000;

test("a request whose end nobody saw for ten minutes is over, and tells what was noted of it", () => {
  const requests = new UnderWay<string>();
  expect(requests.begin("1", 0, "one")).toEqual([]);
  expect(requests.begin("2", 1000, "two")).toEqual([]);
  expect(requests.begin("3", TEN_MINUTES, "three")).toEqual([]);
  expect(requests.begin("4", TEN_MINUTES + 1001, "four")).toEqual(["one", "two"]);
  expect([requests.size, requests.end("1"), requests.end("3"), requests.size]).toEqual([
    2,
    undefined,
    "three",
    1,
  ]);
});

test("of very many at once those that began first are over", () => {
  const requests = new UnderWay<number>();
  for (let i = 0; i < 10_000; i++) requests.begin(`${i}`, 0, i);
  expect(requests.begin("another", 0, -1)).toEqual([0]);
  expect([requests.size, requests.get("1"), requests.get("another")]).toEqual([10_000, 1, -1]);
});
