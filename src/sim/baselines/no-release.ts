import type { Baseline } from "../cache-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** An ablation: what release adds. */
export default {
  name: "no-release",
  description: "cachesage, but run ends go unnoticed",
  source: "ablation of cachesage",
  create: (context) => new LearnedPolicy(context, { withoutRelease: true }),
} satisfies Baseline;
