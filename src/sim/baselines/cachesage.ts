import type { Baseline } from "../cache-policy.ts";
import { GuardedPolicy } from "../guarded-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** The project's own policy, with all that it learns. */
export default {
  name: "cachesage",
  description: "this project's learner: expected reuse of each run's and agent's prefix, release at run end",
  source: "README, how it works",
  create: (context) => new GuardedPolicy(context, (shadow) => new LearnedPolicy(shadow)),
} satisfies Baseline;
