import { readFileSync } from "node:fs";
import { Unpackr } from "msgpackr";
import { expect, test } from "vitest";
import { XPublisher } from "zeromq";
import { createEngine } from "../../src/engine-registry.ts";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { CacheWatch } from "../../src/wire/cache-watch.ts";
import { readBatch } from "../../src/wire/kv-event-batch.ts";
import { kvEvents } from "../../src/wire/kv-events.ts";
import { ResidentBlocks } from "../../src/wire/resident-blocks.ts";

const unpackr = new Unpackr({ int64AsType: "bigint", mapsAsObjects: true, useRecords: false });

function watching(adapter: Pick<EngineAdapter, "events">, resident?: ResidentBlocks) {
  const seen: CacheEvent[] = [];
  const faults: unknown[] = [];
  const watch = new CacheWatch({
    adapter,
    onEvent: (event) => void seen.push(event),
    onFault: (error) => void faults.push(error),
    ...(resident && { resident }),
  }).start();
  return { watch, seen, faults };
}

async function* of(...events: CacheEvent[]) {
  yield* events;
}
function stored(blocks: string[], more: object = {}): CacheEvent {
  const tokens = blocks.flatMap(() => [1, 2]);
  return { type: "block-stored", at: 1, source: "a", blocks, tokens, blockTokens: 2, ...more };
}

/** Frames as a real publisher sent them, sent once more when somebody hears them, and read to the last one. */
async function replayed(name: string) {
  const file = new URL(`./fixtures/${name}.json`, import.meta.url);
  const { frames } = JSON.parse(readFileSync(file, "utf8")) as { readonly frames: readonly string[][] };
  const messages = frames.map((frame) => frame.map((part) => Buffer.from(part, "base64")));
  const publisher = new XPublisher({ linger: 0 });
  await publisher.bind("tcp://127.0.0.1:0");
  const endpoint = publisher.lastEndpoint ?? "";
  const { watch, seen, faults } = watching({ events: (signal) => kvEvents({ endpoint }, signal) });
  await publisher.receive();
  for (const message of messages) await publisher.send(message);
  const told = messages.map(
    (parts) => readBatch(unpackr.unpack(parts.at(-1) ?? Buffer.alloc(0))).events.length,
  );
  await expect.poll(() => seen.length).toBe(told.reduce((sum, count) => sum + count, 0));
  return {
    watch,
    seen,
    faults,
    endpoint,
    async stop() {
      await watch.stop();
      publisher.close();
    },
  };
}

test.each([
  ["vllm-0.32.0", 32],
  ["llm-d-inference-sim-maps", 16],
])("%s: what its publisher said is resident, with lag and without a gap", async (name, blockTokens) => {
  const { watch, faults, endpoint, stop } = await replayed(name);
  const read = () => watch.states.caches[0];
  expect(read()?.storedBlocks).toBeGreaterThan(3);
  expect(read()?.residentBlocks).toBe((read()?.storedBlocks ?? 0) - (read()?.removedBlocks ?? 0));
  expect(read()?.source).toContain(endpoint);
  expect(read()?.residentTokens).toBe((read()?.residentBlocks ?? 0) * blockTokens);
  expect(read()?.media).toEqual({ GPU: read()?.residentBlocks });
  // They were recorded long ago.
  expect(read()?.lagMs).toBeGreaterThan(1000);
  expect(read()?.gaps.lost).toBe(0);
  expect(faults).toEqual([]);
  await stop();
  expect(watch.states.stream).toBe("ended");
});

test("without streams nothing is offered, also where several servers stand behind one connection", async () => {
  expect(watching({}).watch.states).toEqual({ stream: "unoffered", caches: [] });
  const urls = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"];
  expect(watching(await createEngine("sglang", urls, {})).watch.states.stream).toBe("unoffered");
});

test("streams that nobody named are read once somebody asks, and not after the end", async () => {
  const parts = { adapter: { events: () => of(stored(["x"])) }, onEvent: () => {}, onFault: () => {} };
  const [asked, unasked] = [new CacheWatch(parts), new CacheWatch(parts)];
  expect(asked.states).toEqual({ stream: "unread", caches: [] });
  asked.start();
  await expect.poll(() => asked.states.caches).toMatchObject([{ residentBlocks: 1 }]);
  await unasked.stop();
  expect(unasked.start().states).toEqual({ stream: "ended", caches: [] });
});

const create = (name: string, more: object) => createEngine(name, ["http://127.0.0.1:1/v1"], more as never);

test("streams that the user named are read from the connection on", async () => {
  const events = [{ endpoint: "tcp://127.0.0.1:1" }];
  for (const name of ["vllm", "sglang", "dynamo", "llm-d", "tensorrt-llm"]) {
    expect((await create(name, { events })).readsEvents).toBe(true);
    expect((await create(name, {})).readsEvents).toBeUndefined();
  }
  expect((await create("tensorrt-llm", { pullEventsMs: 100 })).readsEvents).toBe(true);
});

async function* broken() {
  yield stored(["x"]);
  throw new Error("closed");
}

test("a stream that breaks is one fault, and what was known stays", async () => {
  const { watch, faults } = watching({ events: broken });
  await expect.poll(() => watch.states.stream).toBe("ended");
  expect(faults).toHaveLength(1);
  expect(watch.states.caches).toMatchObject([{ source: "a", residentBlocks: 1, residentTokens: 2 }]);
});

test("each cache is counted for itself: media, gaps, and whether all is known", async () => {
  const { watch } = watching({
    events: () =>
      of(
        stored(["x", "y"], { medium: "GPU" }),
        stored(["x"], { medium: "CPU" }),
        stored(["z"], { source: "b", worker: "http://b/v1" }),
        { type: "gap", at: 2, source: "b", reason: "lost", missed: 4 },
        { type: "block-removed", at: 3, source: "a", blocks: ["y"], medium: "GPU" },
      ),
  });
  await expect.poll(() => watch.states.stream).toBe("ended");
  expect(watch.states.caches).toMatchObject([
    {
      source: "a",
      residentBlocks: 1,
      media: { GPU: 1, CPU: 1 },
      isComplete: true,
      removedBlocks: 1,
      latestAt: 3,
    },
    { source: "b", worker: "http://b/v1", residentBlocks: 0, isComplete: false, missed: 4, gapAt: 2 },
  ]);
});

async function* many() {
  for (let cache = 0; cache < 1100; cache++) yield stored([`${cache}`], { source: `s${cache}` });
  for (let block = 0; block < 50; block++) yield stored([`b${block}`], { source: "last" });
}

test("memory is bounded: in blocks, and in caches", async () => {
  const resident = new ResidentBlocks(20);
  const { watch } = watching({ events: many }, resident);
  await expect.poll(() => watch.states.stream).toBe("ended");
  expect(resident.size).toBe(20);
  expect(watch.states.caches).toHaveLength(1000);
  expect(watch.states.caches.find(({ source }) => source === "last")).toMatchObject({
    residentBlocks: 20,
    isComplete: false,
    storedBlocks: 50,
  });
});
