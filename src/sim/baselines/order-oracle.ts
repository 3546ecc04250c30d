import type { Baseline } from "../cache-policy.ts";
import type { ScheduledCall } from "../schedule.ts";
import { ScoredCache } from "../scored-cache.ts";

/** How often threads that are not its first user's come to a block, and since when it is known. */
interface Arrivals {
  latest: number;
  count: number;
  readonly since: number;
}

/**
 * Knows each open run's own future order of calls, its thread's further runs among them, but not how runs interleave nor what
 * threads not yet open will do: the bound for a policy that learns from runs. A run's steps count once for each open thread; a
 * block used by several threads is also expected at the rate of their arrivals so far.
 */
export default {
  name: "order-oracle",
  description: "knows each open run's own future, not the interleaving (an oracle)",
  source: "the bound defined in this project's design; see README",
  create({ blockCount, future }) {
    const nextSteps = ownNextSteps(future);
    const lastCalls = new Map(future.map(({ thread }, index) => [thread, index]));
    /** By open run. */
    const threadOf = new Map<number, number>();
    const stepOf = new Map<number, number>();
    /** By block: the step at which each open thread uses it next. */
    const owners: (Map<number, number> | undefined)[] = [];
    const arrivals: (Arrivals | undefined)[] = [];
    let now = 0;
    const distance = (block: number) => {
      let best = Number.POSITIVE_INFINITY;
      const threads = owners[block];
      if (threads)
        for (const [thread, next] of threads) {
          const step = stepOf.get(thread);
          if (step === undefined) threads.delete(thread);
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
        const { thread } = future[index] as ScheduledCall;
        now = index;
        threadOf.set(run, thread);
        stepOf.set(thread, (stepOf.get(thread) ?? -1) + 1);
        const next = nextSteps[index];
        for (let i = 0; i < blocks.length; i++) {
          const block = blocks[i] as number;
          const nextStep = next?.[i] ?? -1;
          const threads = (owners[block] ??= new Map());
          if (nextStep >= 0) threads.set(thread, nextStep);
          else threads.delete(thread);
          const shared = (arrivals[block] ??= { latest: thread, count: 0, since: index });
          if (shared.latest !== thread) {
            shared.latest = thread;
            shared.count++;
          }
        }
        cache.insert(arrival);
      },
      victim: (needed) => cache.take(needed),
      ended: (run) => {
        const thread = threadOf.get(run) ?? -1;
        threadOf.delete(run);
        if ((lastCalls.get(thread) ?? 0) <= now) stepOf.delete(thread);
      },
    };
  },
} satisfies Baseline;

/** For each call and position the step of the same thread that uses the block next; -1 when none does. */
function ownNextSteps(calls: readonly ScheduledCall[]): readonly Int32Array[] {
  const counts = new Map<number, number>();
  const steps = calls.map(({ thread }) => {
    const step = counts.get(thread) ?? 0;
    counts.set(thread, step + 1);
    return step;
  });
  const result: Int32Array[] = Array.from({ length: calls.length });
  const later = new Map<number, Map<number, number>>();
  for (let index = calls.length - 1; index >= 0; index--) {
    const { thread, call } = calls[index] as ScheduledCall;
    let own = later.get(thread);
    if (!own) later.set(thread, (own = new Map()));
    result[index] = Int32Array.from(call.blocks, (block) => own.get(block) ?? -1);
    for (const block of call.blocks) own.set(block, steps[index] as number);
  }
  return result;
}
