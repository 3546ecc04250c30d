import type { Schedule } from "../schedule.ts";
import { StackDistance } from "./stack-distance.ts";

export interface Quantiles {
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** When blocks are used again. */
export interface ReuseSummary {
  readonly touches: number;
  /** Touches of a block that no call used before: no cache can have it. In [0, 1] of all touches, like the next two. */
  readonly first: number;
  /** Touches of a block whose last user was the same run. */
  readonly same_run: number;
  /** Touches of a block whose last user was another run. */
  readonly other_run: number;
  /** Calls of all open runs from one use to the next, 1 is the next call; null when nothing is used again. */
  readonly distance_calls: Quantiles | null;
  /** Distinct blocks used in between. */
  readonly distance_blocks: Quantiles | null;
}

/** Follows every block through a schedule. */
export function summariseReuse({ calls, workload: { blockCount } }: Schedule): ReuseSummary {
  const stack = new StackDistance(blockCount);
  const lastCall = new Int32Array(blockCount).fill(-1);
  const lastRun = new Int32Array(blockCount).fill(-1);
  const byCalls = new Float64Array(calls.length + 1);
  const byBlocks = new Float64Array(blockCount + 1);
  let [touches, first, sameRun, otherRun] = [0, 0, 0, 0];
  for (const [index, { call, run }] of calls.entries())
    for (const block of call.blocks) {
      touches++;
      const distance = stack.touch(block);
      if (distance === undefined) first++;
      else {
        const between = index - (lastCall[block] as number);
        byCalls[between] = (byCalls[between] as number) + 1;
        byBlocks[distance] = (byBlocks[distance] as number) + 1;
        if (lastRun[block] === run) sameRun++;
        else otherRun++;
      }
      lastCall[block] = index;
      lastRun[block] = run;
    }
  const share = (part: number) => (touches === 0 ? 0 : part / touches);
  return {
    touches,
    first: share(first),
    same_run: share(sameRun),
    other_run: share(otherRun),
    distance_calls: quantilesOf(byCalls),
    distance_blocks: quantilesOf(byBlocks),
  };
}

/** @param counts how often each distance occurred. */
function quantilesOf(counts: Float64Array): Quantiles | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const at = (share: number) => {
    let below = 0;
    return counts.findIndex((count) => (below += count) >= share * total);
  };
  return { p10: at(0.1), p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
