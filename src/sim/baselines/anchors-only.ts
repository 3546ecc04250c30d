import type { Baseline } from "../cache-policy.ts";
import { GuardedPolicy } from "../guarded-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** An ablation: what anchors alone are worth. */
export default {
  name: "anchors-only",
  description: "cachesage, but only system messages and tools are held, all else is left to LRU",
  source: "ablation of cachesage",
  create: (context) =>
    new GuardedPolicy(context, (shadow) => new LearnedPolicy(shadow, { anchorsOnly: true })),
} satisfies Baseline;
