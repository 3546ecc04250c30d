import { z } from "zod";
import { isObject } from "../../runtime/prompt-text.ts";
import { recordOf } from "../message-blocks.ts";
import type { TraceFormat } from "../trace-format.ts";
import { BlockIds, type RecordedRun } from "../workload.ts";

const BLOCK_TOKENS = 512;
const count = z.number().nonnegative();

const published = z.object({
  timestamp: count,
  input_length: count,
  output_length: count,
  hash_ids: z.array(z.int().nonnegative()),
});

/** With ids as runs of `[first, count]`. */
const inRuns = z
  .object({
    start_ms: count,
    prompt_tokens: count,
    output_tokens: count,
    blocks: z.array(z.tuple([z.int().nonnegative(), z.int().nonnegative()])),
  })
  .transform(({ start_ms, prompt_tokens, output_tokens, blocks }) => ({
    timestamp: start_ms,
    input_length: prompt_tokens,
    output_length: output_tokens,
    hash_ids: blocks.flatMap(([first, length]) => Array.from({ length }, (_, i) => first + i)),
  }));

/** Request traces of Mooncake (https://github.com/kvcache-ai/Mooncake): no agents, each request is a run of its own. */
export default {
  name: "mooncake",
  description: "requests with 512-token block ids and times; no agents",
  matches: (first) =>
    isObject(first) &&
    (("timestamp" in first && "hash_ids" in first) || ("start_ms" in first && "blocks" in first)),
  async read(source) {
    const ids = new BlockIds();
    const runs: RecordedRun[] = [];
    for await (const { line, value } of source.records) {
      const data = recordOf(
        source,
        { line, value },
        isObject(value) && "blocks" in value ? inRuns : published,
        "A request has timestamp, input_length, output_length and hash_ids: numbers of its blocks, counted from 0.",
      );
      runs.push({
        id: String(runs.length),
        startMs: data.timestamp,
        calls: [
          {
            agent: "",
            blocks: Int32Array.from(data.hash_ids, (id) => ids.id(id)),
            anchorBlocks: 0,
            promptTokens: data.input_length,
            outputTokens: data.output_length,
            startMs: 0,
          },
        ],
      });
    }
    return { name: source.name, blockTokens: BLOCK_TOKENS, blockCount: ids.count, runs };
  },
} satisfies TraceFormat;
