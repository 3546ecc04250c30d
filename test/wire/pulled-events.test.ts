import { expect, test } from "vitest";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import { PulledEvents } from "../../src/wire/pulled-events.ts";
import { ResidentBlocks } from "../../src/wire/resident-blocks.ts";

// The shape is that of TensorRT-LLM's own serializer (KVCacheEventSerializer); no server of it runs here.

const stored = (id: number, hash: number, tokens: readonly number[], more: object = {}) => ({
  event_id: id,
  ...more,
  data: {
    type: "stored",
    parent_hash: null,
    blocks: [{ block_hash: hash, tokens: tokens.map((token_id) => ({ token_id })), cache_level: 0 }],
  },
});
const removed = (id: number, hash: number, more: object = {}) => ({
  event_id: id,
  ...more,
  data: { type: "removed", block_hashes: [hash] },
});

function inWords(event: CacheEvent): string {
  const where = event.source === "trt" ? "" : ` at ${event.source}`;
  if (event.type === "gap") return `gap ${event.reason} ${event.missed ?? ""}`.trim() + where;
  if (event.type === "cache-cleared") return event.type;
  return `${event.type} ${event.blocks.join()} ${event.medium ?? ""}`.trim() + where;
}

const reading = () => {
  const events = new PulledEvents("trt");
  return (...answers: readonly unknown[]) =>
    answers.flatMap((answer) => [...events.read(answer, 0)]).map((event) => inWords(event));
};

test("numbers that are missing are a gap, lower ones a restart, each rank counting for itself", () => {
  const read = reading();
  expect(read([{ event_id: 0, data: { type: "created" } }, stored(1, 11, [1, 2])])).toEqual([
    "block-stored 11 GPU",
  ]);
  expect(read([stored(5, 12, [3, 4])])).toEqual(["gap lost 3", "block-stored 12 GPU"]);
  expect(read([stored(0, 13, [3, 4], { attention_dp_rank: 1 }), removed(6, 12)])).toEqual([
    "block-stored 13 GPU at trt rank 1",
    "block-removed 12",
  ]);
  expect(read([stored(0, 14, [5, 6])])).toEqual(["gap restart", "block-stored 14 GPU"]);
  expect(reading()([stored(7, 15, [1, 2])])[0]).toBe("gap lost 7");
});

test("a block that moves to another level leaves the one before", () => {
  const read = reading();
  const moved = {
    type: "updated",
    block_hash: 11,
    cache_level: { old_value: 0, new_value: 1 },
    priority: null,
  };
  const priority = {
    type: "updated",
    block_hash: 11,
    cache_level: null,
    priority: { old_value: 35, new_value: 9 },
  };
  expect(
    read([stored(0, 11, [1, 2]), { event_id: 1, data: moved }, { event_id: 2, data: priority }]),
  ).toEqual(["block-stored 11 GPU", "block-stored 11 CPU", "block-removed 11 GPU"]);
});

test("blocks that are not full, and windows that do not see all, are left out", () => {
  const events = new PulledEvents("trt");
  const resident = new ResidentBlocks();
  const global = { window_size: 4096 };
  for (const event of events.read(
    [
      stored(0, 1, [1, 2, 3, 4], global),
      stored(1, 2, [5, 6], global),
      stored(2, 3, [5, 6, 7, 8], global),
      stored(3, 9, [9, 9, 9, 9], { window_size: 128 }),
      removed(4, 1, { window_size: 128 }),
    ],
    0,
  ))
    resident.observe(event);
  expect(resident.holdings("trt")).toEqual({ blocks: 2, tokens: 8, media: { GPU: 2 }, isComplete: true });
});

test("what is no answer, or no event, tells nothing", () => {
  const read = reading();
  expect(
    read(undefined, {}, "page", [null, 7, {}, { data: {} }, { event_id: 0, data: { type: "new" } }]),
  ).toEqual([]);
});
