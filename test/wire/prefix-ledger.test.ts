import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockStoredEvent } from "../../src/runtime/cache-event.ts";
import { PrefixLedger } from "../../src/wire/prefix-ledger.ts";

function stored(
  blocks: string[],
  parent: string | undefined,
  tokens: number[],
  medium = "GPU",
  source = "a",
) {
  const event: BlockStoredEvent = {
    type: "block-stored",
    at: 0,
    source,
    blocks,
    ...(parent !== undefined && { parent }),
    tokens,
    blockTokens: 2,
    medium,
  };
  return event;
}

test("a prompt is resident up to its first missing block, per cache", () => {
  const ledger = new PrefixLedger();
  ledger.observe(stored(["x", "y"], undefined, [1, 2, 3, 4]));
  ledger.observe(stored(["z"], "y", [5, 6], "CPU"));
  ledger.observe(stored(["x"], undefined, [1, 2], "GPU", "b"));
  expect(ledger.find([1, 2, 3, 4, 5, 6, 7])).toEqual([
    { source: "a", tokens: 6, media: ["CPU"] },
    { source: "b", tokens: 2, media: ["GPU"] },
  ]);
  ledger.observe({ type: "block-removed", at: 0, source: "a", blocks: ["y"], medium: "GPU" });
  expect(ledger.find([1, 2, 3, 4, 5, 6])).toMatchObject([{ tokens: 2 }, { tokens: 2 }]);
  expect(ledger.find([9, 9])).toEqual([]);
});

test("a block in two media is gone when both are", () => {
  const ledger = new PrefixLedger();
  ledger.observe(stored(["x"], undefined, [1, 2], "GPU"));
  ledger.observe(stored(["x"], undefined, [1, 2], "CPU"));
  expect(ledger.find([1, 2])).toMatchObject([{ media: ["CPU", "GPU"] }]);
  ledger.observe({ type: "block-removed", at: 0, source: "a", blocks: ["x"], medium: "GPU" });
  expect(ledger.find([1, 2])).toMatchObject([{ media: ["CPU"] }]);
  ledger.observe({ type: "block-removed", at: 0, source: "a", blocks: ["x"], medium: "CPU" });
  expect(ledger.find([1, 2])).toEqual([]);
});

test.each(["gap", "cache-cleared"] as const)("%s forgets its source and no other", (type) => {
  const ledger = new PrefixLedger();
  ledger.observe(stored(["x"], undefined, [1, 2]));
  ledger.observe(stored(["x"], undefined, [1, 2], "GPU", "b"));
  ledger.observe(
    type === "gap" ? { type, at: 0, source: "a", reason: "lost" } : { type, at: 0, source: "a" },
  );
  expect(ledger.find([1, 2])).toMatchObject([{ source: "b" }]);
  expect(ledger.size).toBe(1);
});

test("a gap of a publisher forgets all ranks that share it, and says that more may be there until it is cleared", () => {
  const ledger = new PrefixLedger();
  for (const source of ["tcp://e", "tcp://e rank 1", "tcp://e2"])
    ledger.observe(stored(["x"], undefined, [1, 2], "GPU", source));
  ledger.observe({ type: "gap", at: 0, source: "tcp://e", reason: "lost" });
  expect(ledger.find([1, 2])).toMatchObject([{ source: "tcp://e2" }]);
  ledger.observe(stored(["x"], undefined, [1, 2], "GPU", "tcp://e rank 1"));
  expect(ledger.holdings("tcp://e rank 1")).toEqual({
    blocks: 1,
    tokens: 2,
    media: { GPU: 1 },
    isComplete: false,
  });
  ledger.observe({ type: "cache-cleared", at: 0, source: "tcp://e rank 1" });
  expect(ledger.holdings("tcp://e rank 1")).toMatchObject({ blocks: 0, media: {}, isComplete: true });
  expect(ledger.holdings("tcp://e2")).toMatchObject({ blocks: 1, isComplete: true });
});

test("it stays within its bound, and forgets what came first", () => {
  const ledger = new PrefixLedger(3);
  for (let block = 0; block < 10; block++) ledger.observe(stored([`b${block}`], undefined, [block, block]));
  expect(ledger.size).toBe(3);
  expect(ledger.find([0, 0])).toEqual([]);
  expect(ledger.find([9, 9])).toHaveLength(1);
});

test("it agrees with a plain set of resident blocks, whatever comes and goes", () => {
  const step = fc.record({
    prompt: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 5 }),
    keep: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const ledger = new PrefixLedger();
      const resident = new Set<string>();
      for (const { prompt, keep } of steps) {
        const names = prompt.map((_, index) => `h${prompt.slice(0, index + 1).join("-")}`);
        if (keep) {
          ledger.observe(
            stored(
              names,
              undefined,
              prompt.flatMap((token) => [token, token]),
            ),
          );
          for (const name of names) resident.add(name);
        } else {
          const blocks = names.slice(-1);
          ledger.observe({ type: "block-removed", at: 0, source: "a", blocks });
          for (const name of blocks) resident.delete(name);
        }
        const hole = names.findIndex((name) => !resident.has(name));
        const expected = 2 * (hole < 0 ? names.length : hole);
        expect(ledger.find(prompt.flatMap((token) => [token, token]))[0]?.tokens ?? 0).toBe(expected);
        expect(ledger.size).toBe(resident.size);
      }
    }),
  );
});
