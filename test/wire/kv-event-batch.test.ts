import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { readBatch } from "../../src/wire/kv-event-batch.ts";
import { ResidentPrefixes } from "./resident-prefixes.ts";

const unpackr = new Unpackr({ int64AsType: "bigint", mapsAsObjects: true, useRecords: false });

interface Recording {
  readonly server: string;
  readonly frames: readonly (readonly string[])[];
}

function batchesOf(name: string) {
  const file = new URL(`./fixtures/${name}.json`, import.meta.url);
  const { frames } = JSON.parse(readFileSync(file, "utf8")) as Recording;
  return frames.map((frame) => readBatch(unpackr.unpack(Buffer.from(frame.at(-1) ?? "", "base64"))));
}

describe("frames recorded from real publishers", () => {
  test.each([
    ["vllm-0.32.0", 32, "GPU"],
    ["llm-d-inference-sim-maps", 16, "GPU"],
    ["llm-d-inference-sim-arrays", 16, "GPU"],
    ["dynamo-mocker-1.6.1-worker-0", 16, undefined],
    ["dynamo-mocker-1.6.1-worker-1", 16, undefined],
  ])(
    "%s: every stored block has a hash and its tokens, and a prompt is found by them",
    (name, size, medium) => {
      const resident = new ResidentPrefixes();
      const events = batchesOf(name).flatMap(({ events: found }) => found);
      const stored = events.filter((event) => event.type === "block-stored");
      expect(stored.length).toBeGreaterThan(0);
      for (const event of stored) {
        expect(event.blockTokens).toBe(size);
        expect(event.medium).toBe(medium);
        expect(event.tokens).toHaveLength(event.blocks.length * size);
        expect(new Set(event.blocks).size).toBe(event.blocks.length);
        resident.observe({ ...event, at: 0, source: "a" });
      }
      const [first] = stored;
      expect(first?.parent).toBeUndefined();
      expect(resident.find([...(first?.tokens ?? []), 1, 2, 3])).toMatchObject([
        { source: "a", tokens: first?.tokens.length },
      ]);
    },
  );

  test("the two encodings of one server say the same", () => {
    const [maps, arrays] = [batchesOf("llm-d-inference-sim-maps"), batchesOf("llm-d-inference-sim-arrays")];
    expect(maps.length).toBe(arrays.length);
    const storedIn = (batches: typeof maps) =>
      batches.flatMap(({ events }) => events.filter(({ type }) => type === "block-stored"));
    expect(storedIn(maps)).toEqual(storedIn(arrays));
  });
});

describe("both encodings, either batch shape, any kind of hash", () => {
  const token = fc.integer({ min: 0, max: 200_000 });
  const hash = fc.oneof(
    fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    fc.integer({ min: 1, max: 1000 }),
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
  );
  const stored = fc.record({
    hashes: fc.array(hash, { minLength: 1, maxLength: 4 }),
    parent: fc.option(hash),
    tokens: fc.array(token, { minLength: 1, maxLength: 8 }),
    medium: fc.option(fc.constantFrom("GPU", "CPU"), { nil: undefined }),
  });
  const packr = new Packr({ useRecords: false, int64AsType: "bigint", useBigIntExtension: false });
  const over = (value: unknown) => readBatch(unpackr.unpack(packr.pack(value)));

  test("arrays, maps and mixtures of them are read alike", () => {
    fc.assert(
      fc.property(stored, fc.integer({ min: 0, max: 7 }), ({ hashes, parent, tokens, medium }, rank) => {
        const array = ["BlockStored", hashes, parent, tokens, 4, null, medium ?? null];
        const map = {
          type: "BlockStored",
          block_hashes: hashes,
          parent_block_hash: parent,
          token_ids: tokens,
          block_size: 4,
          medium: medium ?? null,
          something_new: { a: 1 },
        };
        const first = over([1.5, [array], rank]);
        expect(over([1.5, [map], rank])).toEqual(first);
        expect(over({ ts: 1.5, events: [map], data_parallel_rank: rank })).toEqual(first);
        expect(first.rank).toBe(rank);
        expect(first.events).toHaveLength(1);
        expect(first.events[0]).toMatchObject({ type: "block-stored", tokens, blockTokens: 4 });
      }),
    );
  });

  test("a hash is the same as a signed and as an unsigned integer", () => {
    const [signed, unsigned] = [-1n, 2n ** 64n - 1n].map(
      (value) => over([0, [["BlockRemoved", [value], "GPU"]]]).events,
    );
    expect(signed).toEqual(unsigned);
  });

  test("kinds that are not known are left out, and what is no batch at all throws", () => {
    expect(
      over([0, [["BlockInactive", [1]], ["AllBlocksCleared"], { type: "AllBlocksCleared" }, 7]]),
    ).toEqual({
      events: [{ type: "cache-cleared" }, { type: "cache-cleared" }],
      rank: 0,
    });
    for (const value of [null, 3, "text", {}, [], [1, 2]]) expect(() => over(value)).toThrow("no batch");
  });

  test("SGLang's metadata after the medium carries the session", () => {
    const event = [
      "BlockStored",
      [1],
      null,
      [1, 2],
      2,
      null,
      "CPU_TIER1",
      { session_id: "s", cache_salt: "x" },
    ];
    expect(over([0, [event]]).events).toMatchObject([{ medium: "CPU_TIER1", session: "s" }]);
  });
});
