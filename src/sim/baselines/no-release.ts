import type { Baseline } from "../cache-policy.ts";
import { GuardedPolicy } from "../guarded-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** An ablation: what release adds. */
export default {
  name: "no-release",
  description: "cachesage, but run ends go unnoticed",
  source: "ablation of cachesage",
  create: (context) =>
    new GuardedPolicy(context, (shadow) => new LearnedPolicy(shadow, { withoutRelease: true })),
} satisfies Baseline;
