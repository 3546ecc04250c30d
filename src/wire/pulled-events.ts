import { z } from "zod";
import type { CacheEvent } from "../runtime/cache-event.ts";

const id = z.union([z.number(), z.string()]).transform(String);
const token = z.union([z.int(), z.object({ token_id: z.int() }).transform(({ token_id }) => token_id)]);
const event = z.object({
  data: z.union([
    z.object({
      type: z.literal("stored"),
      parent_hash: id.nullish(),
      blocks: z.array(z.object({ block_hash: id, tokens: z.array(token), cache_level: z.int().optional() })),
    }),
    z.object({ type: z.literal("removed"), block_hashes: z.array(id) }),
  ]),
});

/** Cache levels of TensorRT-LLM: 0 is the GPU, 1 the host. */
const media = ["GPU", "CPU"];

/** Reads TensorRT-LLM's answer to `/kv_cache_events`. What is not known, or no answer at all, tells nothing. */
export function* readPulledEvents(
  answer: unknown,
  at: Pick<CacheEvent, "at" | "source">,
): Generator<CacheEvent> {
  for (const item of Array.isArray(answer) ? (answer as readonly unknown[]) : []) {
    const parsed = event.safeParse(item);
    if (!parsed.success) continue;
    const { data } = parsed.data;
    if (data.type === "removed") {
      yield { ...at, type: "block-removed", blocks: data.block_hashes };
      continue;
    }
    let parent = data.parent_hash ?? undefined;
    for (const { block_hash: hash, tokens, cache_level: level } of data.blocks) {
      const medium = media[level ?? 0];
      yield {
        ...at,
        type: "block-stored",
        blocks: [hash],
        ...(parent !== undefined && { parent }),
        tokens,
        blockTokens: tokens.length,
        ...(medium !== undefined && { medium }),
      };
      parent = hash;
    }
  }
}
