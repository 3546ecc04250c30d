import type { Baseline } from "../cache-policy.ts";
import { GuardedPolicy } from "../guarded-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** An ablation: what prediction adds. */
export default {
  name: "no-prediction",
  description: "cachesage, but prefixes rank by their last use, runs are still released",
  source: "ablation of cachesage",
  create: (context) =>
    new GuardedPolicy(context, (shadow) => new LearnedPolicy(shadow, { withoutPrediction: true })),
} satisfies Baseline;
