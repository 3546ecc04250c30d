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

/** Bucket of a return after `steps` >= 1. */
export function bucketOf(steps: number): number {
  return steps <= 4 ? steps - 1 : ENDS.findIndex((end) => steps <= end);
}

/**
 * Index of a prefix that returns after a random number of steps: the best rate of hits per step that keeping it can
 * earn, over all lengths of time to keep it: max over h of P(T <= h) / E[min(T, h)], in [0, 1]. Evicting the lowest
 * is Gittins' rule for stopping problems (Gittins 1979, https://doi.org/10.1111/j.2517-6161.1979.tb01068.x).
 *
 * @param returns probability of each bucket, from `offset` on.
 * @param keptNow probability that a return after one step finds the prefix unchanged.
 * @param keptLater the same for later returns.
 */
export function hitRateIndex(returns: Float32Array, keptNow: number, keptLater: number, offset = 0): number {
  let best = 0;
  let hits = 0;
  let time = 0;
  let absent = 1;
  let before = 0;
  for (let bucket = 0; bucket < NEVER; bucket++) {
    const steps = STEPS[bucket] as number;
    const probability = returns[offset + bucket] as number;
    hits += probability * (bucket === 0 ? keptNow : keptLater);
    time += absent * (steps - before);
    absent -= probability;
    before = steps;
    if (hits > best * time) best = hits / time;
  }
  return Math.min(1, best);
}
