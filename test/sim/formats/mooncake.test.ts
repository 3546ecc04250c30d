import { describe, expect, it } from "vitest";
import { complaint, read } from "./trace-file.ts";

/** As https://github.com/kvcache-ai/Mooncake publishes them. */
const published = [
  { timestamp: 0, input_length: 1500, output_length: 50, hash_ids: [46, 47, 48] },
  { timestamp: 3000, input_length: 1100, output_length: 7, hash_ids: [46, 47, 2353] },
];
const compact = [
  { start_ms: 0, prompt_tokens: 1500, output_tokens: 50, blocks: [[46, 3]] },
  {
    start_ms: 3000,
    prompt_tokens: 1100,
    output_tokens: 7,
    blocks: [
      [46, 2],
      [2353, 1],
    ],
  },
];

describe("the mooncake format", () => {
  it("reads each request as a run of its own, with ids that hold everywhere", async () => {
    const { blockTokens, blockCount, runs } = await read(published);
    expect({ blockTokens, blockCount }).toEqual({ blockTokens: 512, blockCount: 4 });
    expect(runs).toEqual([
      {
        id: "0",
        startMs: 0,
        calls: [
          {
            agent: "",
            blocks: Int32Array.of(0, 1, 2),
            anchorBlocks: 0,
            promptTokens: 1500,
            outputTokens: 50,
            startMs: 0,
          },
        ],
      },
      {
        id: "1",
        startMs: 3000,
        calls: [
          {
            agent: "",
            blocks: Int32Array.of(0, 1, 3),
            anchorBlocks: 0,
            promptTokens: 1100,
            outputTokens: 7,
            startMs: 0,
          },
        ],
      },
    ]);
  });

  it("reads ids that are written as runs", async () => {
    expect((await read(compact)).runs).toEqual((await read(published)).runs);
  });

  it.each([
    [{ ...published[0], timestamp: "noon" }, "timestamp: Invalid input: expected number, received string"],
    [{ ...published[0], hash_ids: undefined }, "hash_ids: Invalid input: expected array"],
    [{ ...published[0], hash_ids: [2 ** 64] }, "hash_ids.0: Too big"],
    [{ ...compact[0], blocks: [[1]] }, "blocks.0"],
    [null, "record: Invalid input: expected object, received null"],
  ])("names file and line of a bad request: %#", async (bad, problem) => {
    const error = await complaint([published[0], bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
    expect(error.hint).toContain("hash_ids");
  });

  it("is known by its names also where a value is at fault", async () => {
    const error = await complaint([{ ...published[0], hash_ids: ["a"] }]);
    expect(error.message).toContain("hash_ids.0: Invalid input: expected number, received string");
  });
});
