import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockStoredEvent } from "../../src/runtime/cache-event.ts";
import { ResidentBlocks } from "../../src/wire/resident-blocks.ts";

function stored(blocks: string[], medium = "GPU", source = "a"): BlockStoredEvent {
  const tokens = blocks.flatMap(() => [1, 2]);
  return { type: "block-stored", at: 0, source, blocks, tokens, blockTokens: 2, medium };
}

test("each cache holds what was stored there and not removed", () => {
  const resident = new ResidentBlocks();
  resident.observe(stored(["x", "y"]));
  resident.observe(stored(["z"], "CPU"));
  resident.observe(stored(["x"], "GPU", "b"));
  const whole = { isComplete: true };
  expect(resident.holdings("a")).toEqual({ blocks: 3, tokens: 6, media: { GPU: 2, CPU: 1 }, ...whole });
  expect(resident.holdings("b")).toEqual({ blocks: 1, tokens: 2, media: { GPU: 1 }, ...whole });
  expect(resident.holdings("c")).toBeUndefined();
  resident.observe({ type: "block-removed", at: 0, source: "a", blocks: ["y", "never"], medium: "GPU" });
  expect(resident.holdings("a")).toMatchObject({ blocks: 2, media: { GPU: 1, CPU: 1 } });
  expect(resident.holdings("b")).toMatchObject({ blocks: 1 });
  expect(resident.size).toBe(3);
});

test("a block in two media is gone when both are", () => {
  const resident = new ResidentBlocks();
  const remove = (medium?: string) =>
    resident.observe({ type: "block-removed", at: 0, source: "a", blocks: ["x"], ...(medium && { medium }) });
  for (const medium of ["GPU", "CPU", "CPU"]) resident.observe(stored(["x"], medium));
  expect(resident.holdings("a")).toMatchObject({ blocks: 1, media: { CPU: 1, GPU: 1 } });
  remove("disk");
  remove("GPU");
  expect(resident.holdings("a")).toMatchObject({ blocks: 1, media: { CPU: 1 } });
  remove("CPU");
  expect(resident.holdings("a")).toMatchObject({ blocks: 0, media: {} });
  for (const medium of ["GPU", "CPU"]) resident.observe(stored(["x"], medium));
  remove();
  expect(resident.holdings("a")).toMatchObject({ blocks: 0, media: {} });
});

test("blocks of another size are those of a cache that began anew", () => {
  const resident = new ResidentBlocks();
  resident.observe(stored(["x", "y"]));
  resident.observe({ ...stored(["z"]), tokens: [1, 2, 3, 4], blockTokens: 4 });
  expect(resident.holdings("a")).toMatchObject({ blocks: 1, tokens: 4 });
});

test.each(["gap", "cache-cleared"] as const)("%s forgets its source and no other", (type) => {
  const resident = new ResidentBlocks();
  resident.observe(stored(["x"]));
  resident.observe(stored(["x"], "GPU", "b"));
  resident.observe(
    type === "gap" ? { type, at: 0, source: "a", reason: "lost" } : { type, at: 0, source: "a" },
  );
  expect(resident.holdings("a")).toMatchObject({ blocks: 0, isComplete: type === "cache-cleared" });
  expect(resident.holdings("b")).toMatchObject({ blocks: 1, isComplete: true });
  expect(resident.size).toBe(1);
});

test("a gap of a publisher forgets all ranks that share it, and says that more may be there until it is cleared", () => {
  const resident = new ResidentBlocks();
  for (const source of ["tcp://e", "tcp://e rank 1", "tcp://e2"])
    resident.observe(stored(["x"], "GPU", source));
  resident.observe({ type: "gap", at: 0, source: "tcp://e", reason: "lost" });
  expect(resident.holdings("tcp://e")).toMatchObject({ blocks: 0, isComplete: false });
  resident.observe(stored(["x"], "GPU", "tcp://e rank 1"));
  expect(resident.holdings("tcp://e rank 1")).toEqual({
    blocks: 1,
    tokens: 2,
    media: { GPU: 1 },
    isComplete: false,
  });
  resident.observe({ type: "cache-cleared", at: 0, source: "tcp://e rank 1" });
  expect(resident.holdings("tcp://e rank 1")).toMatchObject({ blocks: 0, media: {}, isComplete: true });
  expect(resident.holdings("tcp://e2")).toMatchObject({ blocks: 1, isComplete: true });
});

test("what is missing from before anything was stored makes what is known of all ranks incomplete", () => {
  const resident = new ResidentBlocks();
  resident.observe({ type: "gap", at: 0, source: "tcp://e", reason: "lost", missed: 500 });
  for (const source of ["tcp://e", "tcp://e rank 1", "tcp://e2"])
    resident.observe(stored(["x"], "GPU", source));
  expect(
    ["tcp://e", "tcp://e rank 1", "tcp://e2"].map((source) => resident.holdings(source)?.isComplete),
  ).toEqual([false, false, true]);
});

test("it stays within its bound, and forgets what came first", () => {
  const resident = new ResidentBlocks(3);
  for (let block = 0; block < 10; block++) resident.observe(stored([`b${block}`]));
  expect(resident.size).toBe(3);
  expect(resident.holdings("a")).toMatchObject({ blocks: 3, isComplete: false });
  resident.observe({ type: "block-removed", at: 0, source: "a", blocks: ["b0", "b1"] });
  expect(resident.size).toBe(3);
  resident.observe({ type: "block-removed", at: 0, source: "a", blocks: ["b9"] });
  expect(resident.size).toBe(2);
});

test("it agrees with a plain set of blocks and media, whatever comes and goes", () => {
  const step = fc.record({
    block: fc.integer({ min: 0, max: 5 }),
    medium: fc.constantFrom("GPU", "CPU"),
    isStored: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const resident = new ResidentBlocks();
      const held = new Set<string>();
      for (const { block, medium, isStored } of steps) {
        const blocks = [`b${block}`];
        if (isStored) held.add(`b${block} ${medium}`);
        else held.delete(`b${block} ${medium}`);
        if (isStored) resident.observe(stored(blocks, medium));
        else resident.observe({ type: "block-removed", at: 0, source: "a", blocks, medium });
        const of = (one: string) => [...held].filter((key) => key.endsWith(one)).length;
        const { media = {} } = resident.holdings("a") ?? {};
        expect([media["GPU"] ?? 0, media["CPU"] ?? 0]).toEqual([of("GPU"), of("CPU")]);
        expect(resident.size).toBe(new Set([...held].map((key) => key.split(" ")[0])).size);
      }
    }),
  );
});
