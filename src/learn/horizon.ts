import { LONGEST_TOLD_APART, returnOf } from "./survival.ts";

/**
 * Steps that each bucket of return times stands for: exact up to 4, then coarser, since a forecast of
 * 30 steps is never good to the step. The last bucket holds everything longer.
 */
export const STEPS: readonly number[] = [1, 2, 3, 4, 5.5, 8, 12, 20, 40];
/** Upper ends of the buckets, in steps. */
const ENDS: readonly number[] = [1, 2, 3, 4, 6, 9, 15, 27, Number.POSITIVE_INFINITY];
/** Bucket of "never": the run ends first. */
export const NEVER = STEPS.length;
/** Number of buckets, "never" included. */
export const BUCKETS = NEVER + 1;

/** By how much each bucket's steps are more than those of the one before. */
const GAPS = Float64Array.from(STEPS, (steps, i) => steps - (STEPS[i - 1] ?? 0));

/** By steps that an agent has been away, longer than those told apart being alike: the class of its return, by bucket. */
const CLASSES_AFTER = Array.from({ length: LONGEST_TOLD_APART + 1 }, (_, absence) =>
  Uint8Array.from(STEPS, (steps) => returnOf(absence + steps)),
);

/** Bucket of a return after `steps` >= 1. */
export function bucketOf(steps: number): number {
  return steps <= 4 ? steps - 1 : ENDS.findIndex((end) => steps <= end);
}

/**
 * Index of a prefix that returns after a random number of steps: the best rate of hits per step that keeping it can
 * earn, over all lengths of time to keep it: max over h of P(T <= h) / E[min(T, h)], in [0, 1]. Evicting the lowest
 * is Gittins' rule for stopping problems (Gittins 1979, https://doi.org/10.1111/j.2517-6161.1979.tb01068.x).
 *
 * @param returns probability of each bucket.
 * @param kept probability, by class of steps as `returnOf` has them, that a return finds the prefix unchanged.
 * @param absence steps that the agent has been away already.
 */
export function hitRateIndex(returns: Float64Array, kept: Float64Array, absence: number): number {
  const classes = CLASSES_AFTER[Math.min(absence, CLASSES_AFTER.length - 1)] as Uint8Array;
  let hits = (returns[0] as number) * (kept[classes[0] as number] as number);
  let time = 1;
  let best = hits;
  let absent = 1 - (returns[0] as number);
  for (let bucket = 1; bucket < NEVER; bucket++) {
    const probability = returns[bucket] as number;
    hits += probability * (kept[classes[bucket] as number] as number);
    time += absent * (GAPS[bucket] as number);
    absent -= probability;
    if (hits > best * time) best = hits / time;
  }
  return Math.min(1, best);
}
