import type { Baseline } from "../cache-policy.ts";
import { RecencyList } from "../recency-list.ts";

/** Evicts what was used longest ago, the tail of a prompt before its head; what vLLM and SGLang do by default. */
export default {
  name: "lru",
  description: "least recently used, tail first",
  source: "https://docs.vllm.ai/en/latest/design/prefix_caching/",
  create({ blockCount }) {
    const recency = new RecencyList(blockCount);
    return {
      request: ({ blocks }) => recency.usePrompt(blocks),
      victim: () => recency.takeOldest(),
    };
  },
} satisfies Baseline;
