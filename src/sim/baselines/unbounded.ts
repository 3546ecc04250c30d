import type { Baseline } from "../cache-policy.ts";

/** Never evicts: what is left are the misses that no cache can avoid. */
export default {
  name: "unbounded",
  description: "a cache that holds everything",
  source: "compulsory misses, https://doi.org/10.1109/12.40842",
  isUnbounded: true,
  create: () => ({
    request: () => {},
    victim() {
      throw new Error("an unbounded cache evicts nothing");
    },
  }),
} satisfies Baseline;
