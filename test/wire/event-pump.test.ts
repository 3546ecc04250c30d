import { expect, test } from "vitest";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { pumpEvents } from "../../src/wire/event-pump.ts";

const gap: CacheEvent = { type: "gap", at: 0, source: "test", reason: "restart" };

function pump(events: (signal?: AbortSignal) => unknown) {
  const read: CacheEvent[] = [];
  const faults: unknown[] = [];
  const adapter = { events } as unknown as EngineAdapter;
  const stop = pumpEvents(
    adapter,
    (event) => void read.push(event),
    (error) => void faults.push(error),
  );
  return { read, faults, stop };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function* endless() {
  for (;;) yield gap;
}

test("a stream that never pauses leaves everything else its turn, and stops", async () => {
  const { read, faults, stop } = pump(endless);
  await turn();
  await turn();
  const before = read.length;
  expect(before).toBeGreaterThan(0);
  await turn();
  expect(read.length - before).toBeLessThanOrEqual(512);
  await stop();
  const after = read.length;
  await turn();
  expect(read).toHaveLength(after);
  expect(faults).toEqual([]);
});

async function* stuck() {
  yield gap;
  await new Promise(() => {});
}

test("a stream that does not heed its signal does not hold up stopping", async () => {
  const { read, stop } = pump(stuck);
  await turn();
  expect(read).toEqual([gap]);
  await stop();
});

test.each<[string, () => unknown]>([
  ["no stream", () => 7],
  ["a promise that is rejected", () => Promise.reject(new Error("down"))],
  [
    "an error",
    () => {
      throw new Error("down");
    },
  ],
])("%s is one fault", async (_what, events) => {
  const { read, faults, stop } = pump(events);
  await stop();
  expect([read.length, faults.length]).toEqual([0, 1]);
});

test("an adapter without events is nothing to read", async () => {
  const { faults, stop } = pump(undefined as never);
  await stop();
  expect(faults).toEqual([]);
});
