import type { Baseline } from "../cache-policy.ts";
import { LivePolicy } from "../live-policy.ts";

/** Slower than `cachesage` and coarser, at most two values a prefix: as it is in an app. */
export default {
  name: "live",
  description: "what an app's engine is told: policy prefix-cache, hint by hint, without prefetch",
  source: "README, how it works",
  create: (context) => new LivePolicy(context),
} satisfies Baseline;
