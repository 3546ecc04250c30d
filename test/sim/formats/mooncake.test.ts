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

  it.each([{ ...published[0], timestamp: "noon" }, { ...published[0], hash_ids: undefined }, null])(
    "names file and line of a bad request: %#",
    async (bad) => {
      const error = await complaint([published[0], bad]);
      expect(error).toMatchObject({ code: "TRACE", line: 2 });
      expect(error.message).toContain(
        "not a request: timestamp, input_length, output_length and hash_ids are needed",
      );
    },
  );
});
