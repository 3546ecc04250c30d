import { z } from "zod";
import type { CacheEvent } from "../runtime/cache-event.ts";

const id = z.union([z.number(), z.string()]).transform(String);
const token = z.union([z.int(), z.object({ token_id: z.int() }).transform(({ token_id }) => token_id)]);
const event = z.object({
  event_id: z.int().optional(),
  attention_dp_rank: z.int().nullish(),
  window_size: z.number().nullish(),
  data: z.looseObject({ type: z.string() }),
});
const created = z.object({ type: z.literal("created") });
const stored = z.object({
  type: z.literal("stored"),
  parent_hash: id.nullish(),
  blocks: z.array(z.object({ block_hash: id, tokens: z.array(token), cache_level: z.int().optional() })),
});
const removed = z.object({ type: z.literal("removed"), block_hashes: z.array(id) });
const updated = z.object({
  type: z.literal("updated"),
  block_hash: id,
  cache_level: z.object({ old_value: z.int(), new_value: z.int() }),
});
const known = z.union([created, stored, removed, updated]);

/** Cache levels of TensorRT-LLM: 0 is the GPU, 1 the host. */
const media = ["GPU", "CPU"];

/**
 * Reads TensorRT-LLM's answers to `/kv_cache_events`, one after the other. What is not known, or no answer at all, tells nothing.
 *
 * Events are numbered one by one for each rank of data-parallel attention; numbers that are missing were dropped by the engine
 * for want of room, or taken by another reader. A model whose layers look back over windows of several sizes tells of each
 * window; only the largest one, which sees all, is read. A block that is not full is never found by a prompt that goes on, and is
 * left out.
 */
export class PulledEvents {
  readonly #source: string;
  readonly #next = new Map<string, number>();
  #window = 0;
  #blockTokens = 0;

  /** @param source names the cache of rank 0. */
  constructor(source: string) {
    this.#source = source;
  }

  *read(answer: unknown, at: number): Generator<CacheEvent> {
    for (const item of Array.isArray(answer) ? (answer as readonly unknown[]) : []) {
      const parsed = event.safeParse(item);
      if (!parsed.success) continue;
      const { event_id: number, attention_dp_rank: rank, window_size: window, data } = parsed.data;
      const where = { at, source: rank ? `${this.#source} rank ${rank}` : this.#source };
      if (number !== undefined) yield* this.#gaps(number, where);
      this.#window = Math.max(this.#window, window ?? 0);
      const { data: told } = known.safeParse(data);
      if (told && (window ?? this.#window) === this.#window) yield* this.#events(told, where);
    }
  }

  *#gaps(number: number, where: Pick<CacheEvent, "at" | "source">): Generator<CacheEvent> {
    const missed = number - (this.#next.get(where.source) ?? 0);
    this.#next.set(where.source, number + 1);
    if (missed > 0) yield { ...where, type: "gap", reason: "lost", missed };
    else if (missed < 0) yield { ...where, type: "gap", reason: "restart" };
  }

  *#events(told: z.output<typeof known>, where: Pick<CacheEvent, "at" | "source">): Generator<CacheEvent> {
    switch (told.type) {
      case "created":
        return;
      case "removed":
        return yield { ...where, type: "block-removed", blocks: told.block_hashes };
      case "updated": {
        const { old_value: from, new_value: to } = told.cache_level;
        yield { ...where, ...this.#stored(told.block_hash, [], to) };
        const medium = media[from];
        if (medium !== undefined)
          yield { ...where, type: "block-removed", blocks: [told.block_hash], medium };
        return;
      }
      case "stored": {
        let parent = told.parent_hash ?? undefined;
        for (const { block_hash: hash, tokens, cache_level: level } of told.blocks) {
          this.#blockTokens = Math.max(this.#blockTokens, tokens.length);
          if (tokens.length === this.#blockTokens)
            yield {
              ...where,
              ...this.#stored(hash, tokens, level ?? 0),
              ...(parent !== undefined && { parent }),
            };
          parent = hash;
        }
      }
    }
  }

  #stored(hash: string, tokens: readonly number[], level: number) {
    const medium = media[level];
    return {
      type: "block-stored" as const,
      blocks: [hash],
      tokens,
      blockTokens: this.#blockTokens,
      ...(medium !== undefined && { medium }),
    };
  }
}
