import { runInNewContext } from "node:vm";
import { setFlagsFromString } from "node:v8";
import { expect, test } from "vitest";
import { mergeEvents } from "../../src/wire/merge-events.ts";

async function* counting(to: number): AsyncGenerator<number> {
  for (let at = 1; at <= to; at++) yield at;
}

/** Says nothing until the signal aborts. */
function silent(signal: AbortSignal): AsyncIterable<number> {
  const ended = new Promise<IteratorResult<number>>((resolve) => {
    signal.addEventListener("abort", () => resolve({ done: true, value: undefined }), { once: true });
  });
  return { [Symbol.asyncIterator]: () => ({ next: () => ended }) };
}

async function* broken(): AsyncGenerator<number> {
  yield -1;
  throw new Error("broke off");
}

test("a stream that is silent keeps nothing of what the others say", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const controller = new AbortController();
  const items = 100_000;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  let grown = 0;
  for await (const item of mergeEvents([counting(items), silent(controller.signal)], controller.signal)) {
    if (item !== items) continue;
    grown = heap() - before;
    controller.abort();
  }
  // 40 MB when each item leaves something behind.
  expect(grown / items).toBeLessThan(40);
});

test("all that is said comes once, streams end one by one, and one that throws ends all", async () => {
  const seen: number[] = [];
  for await (const item of mergeEvents([counting(3), counting(2), counting(0)])) seen.push(item);
  expect(seen.toSorted()).toEqual([1, 1, 2, 2, 3]);
  const controller = new AbortController();
  const failing = mergeEvents([silent(controller.signal), broken()]);
  expect(await failing.next()).toEqual({ done: false, value: -1 });
  await expect(failing.next()).rejects.toThrow("broke off");
  controller.abort();
});
