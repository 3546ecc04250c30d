import { uniformInt } from "pure-rand/distribution/uniformInt";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { Baseline, CachePolicy } from "../cache-policy.ts";
import { GuardedPolicy } from "../guarded-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";

/** The placebo: cachesage with every call's agent drawn by chance, so that what it learns of agents means nothing. */
export default {
  name: "shuffled",
  description: "cachesage with agent labels drawn at random from those seen so far",
  source: "placebo of cachesage",
  create(context): CachePolicy {
    const random = xoroshiro128plus(context.seed);
    return new GuardedPolicy(context, (shadow) => shuffled(new LearnedPolicy(shadow), random));
  },
} satisfies Baseline;

function shuffled(policy: LearnedPolicy, random: RandomGenerator): CachePolicy {
  const seen: string[] = [];
  const known = new Set<string>();
  const latest = new Map<number, string>();
  return {
    request(arrival) {
      if (!known.has(arrival.agent)) {
        known.add(arrival.agent);
        seen.push(arrival.agent);
      }
      const agent = seen[uniformInt(random, 0, seen.length - 1)] ?? arrival.agent;
      latest.set(arrival.run, agent);
      policy.request({ ...arrival, agent });
    },
    victim: () => policy.victim(),
    prefetch: (most, free) => policy.prefetch(most, free),
    completed: (completion) =>
      policy.completed({ ...completion, agent: latest.get(completion.run) ?? completion.agent }),
    ended(run, status) {
      latest.delete(run);
      policy.ended(run, status);
    },
    finished: () => policy.finished(),
  };
}
