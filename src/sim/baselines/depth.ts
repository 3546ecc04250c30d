import { BlockHeap } from "../block-heap.ts";
import type { Baseline } from "../cache-policy.ts";

/** Evicts the block that stands deepest in the prompt that used it last: how much of an agent-aware gain is mere depth. */
export default {
  name: "depth",
  description: "deepest block of a prompt, the one used longest ago among equals",
  source: "the control policy of https://github.com/eopXD/TensorRT-LLM, examples/kv_cache_agent_aware",
  create({ blockCount }) {
    const heap = new BlockHeap(blockCount);
    return {
      request({ index, blocks }) {
        for (let i = blocks.length - 1; i >= 0; i--) heap.set(blocks[i] as number, i, -index);
      },
      victim: () => heap.take(),
    };
  },
} satisfies Baseline;
