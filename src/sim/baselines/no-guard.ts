import type { Baseline } from "../cache-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** An ablation: what the guard costs where the learner is right, and saves where it is not. */
export default {
  name: "no-guard",
  description: "cachesage, but without falling back to LRU while that does better",
  source: "ablation of cachesage",
  create: (context) => new LearnedPolicy(context),
} satisfies Baseline;
