import type { Baseline } from "../sim/cache-policy.ts";
import { RecencyList } from "../sim/recency-list.ts";

/**
 * LRU as serving engines keep it: a request uses its blocks when it begins and again when it ends, since only then they
 * are let go of. Where no requests overlap this is LRU. Each run must have one request under way at most.
 */
export default {
  name: "engine-lru",
  description: "least recently used, by the ends of requests, tail first",
  source: "https://docs.vllm.ai/en/latest/design/prefix_caching/",
  create({ blockCount }) {
    const recency = new RecencyList(blockCount);
    const underWay = new Map<number, Int32Array>();
    return {
      request({ run, blocks }) {
        underWay.set(run, blocks);
        recency.usePrompt(blocks);
      },
      completed({ run }) {
        const blocks = underWay.get(run);
        if (blocks) recency.usePrompt(blocks.filter((block) => recency.has(block)));
        underWay.delete(run);
      },
      victim: () => recency.takeOldest(),
    };
  },
} satisfies Baseline;
