import { blockTokens } from "./cache/block.ts";
import type { KvCache } from "./cache/kv-cache.ts";
import type { Scheduler } from "./scheduler.ts";

/** What the engine did since it started or was reset, and what it holds now. */
export interface EmbeddedStats {
  readonly requests: number;
  /** Prompt tokens of admitted requests. */
  readonly promptTokens: number;
  /** Of those, tokens found in cache. */
  readonly hitTokens: number;
  /** Prompt tokens computed for requests. */
  readonly computedTokens: number;
  readonly outputTokens: number;
  /** Blocks of 16 tokens dropped to make room, or because a hint said so. */
  readonly evictedBlocks: number;
  /** Tokens computed ahead; `used`: hit by a request, `wasted`: gone or given up before any did. */
  readonly prefetch: { readonly computed: number; readonly used: number; readonly wasted: number };
  /** Requests sent back to the queue: for want of blocks, or for more urgent ones. */
  readonly preemptions: number;
  /** Milliseconds spent computing. */
  readonly busyMs: number;
  /** Tokens in cache, shared prefixes counted once. */
  readonly residentTokens: number;
  readonly capacityTokens: number;
  /** The host tier, where there is one: bytes of its files, and tokens loaded from them for requests and prefetches. */
  readonly host?: { readonly bytes: number; readonly loadedTokens: number };
  readonly running: number;
  readonly waiting: number;
}

/** Reads the statistics of a running engine. */
export function readStats({ pool, host }: KvCache, scheduler: Scheduler): EmbeddedStats {
  const { prefetchedTokens, ...counters } = scheduler.counters;
  return {
    ...counters,
    evictedBlocks: pool.evicted,
    prefetch: { computed: prefetchedTokens, used: pool.prefetch.used, wasted: pool.prefetch.wasted },
    residentTokens: pool.residentTokens,
    capacityTokens: pool.capacity * blockTokens,
    ...(host !== undefined && { host: { bytes: host.bytes, loadedTokens: host.loadedTokens } }),
    running: scheduler.running,
    waiting: scheduler.waiting,
  };
}
