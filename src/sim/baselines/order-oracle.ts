import type { Baseline } from "../cache-policy.ts";
import type { ScheduledCall } from "../schedule.ts";
import { ScoredCache } from "../scored-cache.ts";

/** How often runs that are not its first user's come to a block, and since when it is known. */
interface Arrivals {
  latestRun: number;
  count: number;
  readonly since: number;
}

/**
 * Knows each open run's own future order of calls, but not how runs interleave nor what runs not yet open will do: the
 * bound for a policy that learns from runs. A run's steps count once for each open run; a block used by several runs is
 * also expected at the rate of their arrivals so far.
 */
export default {
  name: "order-oracle",
  description: "knows each open run's own future, not the interleaving (an oracle)",
  source: "the bound defined in this project's design; see README",
  create({ blockCount, future }) {
    const nextSteps = ownNextSteps(future);
    const stepOf = new Map<number, number>();
    /** By block: the step at which each open run uses it next. */
    const owners: (Map<number, number> | undefined)[] = [];
    const arrivals: (Arrivals | undefined)[] = [];
    let now = 0;
    const distance = (block: number) => {
      let best = Number.POSITIVE_INFINITY;
      const runs = owners[block];
      if (runs)
        for (const [run, next] of runs) {
          const step = stepOf.get(run);
          if (step === undefined) runs.delete(run);
          else best = Math.min(best, (next - step) * stepOf.size);
        }
      const shared = arrivals[block];
      if (shared && shared.count > 0) best = Math.min(best, (now - shared.since + 1) / shared.count);
      return best;
    };
    const cache = new ScoredCache(blockCount, (block) => -distance(block));
    return {
      request(arrival) {
        const { index, run, blocks } = arrival;
        now = index;
        stepOf.set(run, (stepOf.get(run) ?? -1) + 1);
        const next = nextSteps[index];
        for (let i = 0; i < blocks.length; i++) {
          const block = blocks[i] as number;
          const nextStep = next?.[i] ?? -1;
          const runs = (owners[block] ??= new Map());
          if (nextStep >= 0) runs.set(run, nextStep);
          else runs.delete(run);
          const shared = (arrivals[block] ??= { latestRun: run, count: 0, since: index });
          if (shared.latestRun !== run) {
            shared.latestRun = run;
            shared.count++;
          }
        }
        cache.insert(arrival);
      },
      victim: (needed) => cache.take(needed),
      ended: (run) => void stepOf.delete(run),
    };
  },
} satisfies Baseline;

/** For each call and position the step of the same run that uses the block next; -1 when none does. */
function ownNextSteps(calls: readonly ScheduledCall[]): readonly Int32Array[] {
  const counts = new Map<number, number>();
  const steps = calls.map(({ run }) => {
    const step = counts.get(run) ?? 0;
    counts.set(run, step + 1);
    return step;
  });
  const result: Int32Array[] = Array.from({ length: calls.length });
  const later = new Map<number, Map<number, number>>();
  for (let index = calls.length - 1; index >= 0; index--) {
    const { run, call } = calls[index] as ScheduledCall;
    let own = later.get(run);
    if (!own) later.set(run, (own = new Map()));
    result[index] = Int32Array.from(call.blocks, (block) => own.get(block) ?? -1);
    for (const block of call.blocks) own.set(block, steps[index] as number);
  }
  return result;
}
