import belady from "../baselines/belady.ts";
import lru from "../baselines/lru.ts";
import orderOracle from "../baselines/order-oracle.ts";
import type { Baseline } from "../cache-policy.ts";
import { capacityIn } from "../capacity.ts";
import { type Outcome, replayInTurns } from "../replay.ts";
import type { Schedule } from "../schedule.ts";
import lruWithRelease from "./lru-with-release.ts";

/** Percent of the open runs' mean working set. */
export const SIZES = [5, 10, 25, 50, 75, 100] as const;
export const REPLAYS_A_SIZE = 4;

/** Hit rates in [0, 1] at one cache size. */
export interface SizeResult {
  /** Of the working set. */
  readonly percent: number;
  readonly blocks: number;
  readonly lru: number;
  readonly lru_with_release: number;
  readonly order_oracle: number;
  readonly belady: number;
  /** Of what the order oracle hits more than LRU with release, the part in blocks that several runs use; in [-1, 1]. */
  readonly shared_gain: number;
}

interface Watcher {
  readonly signal?: AbortSignal;
  readonly onReplay?: (replayed: string) => void;
}

/** What caches of several sizes are worth; empty where the workload is too short to have a working set. */
export async function compareSizes(
  scheduled: Schedule,
  { signal, onReplay }: Watcher,
): Promise<readonly SizeResult[]> {
  if (scheduled.workingSet === 0) return [];
  const isShared = sharedBlocks(scheduled);
  const results: SizeResult[] = [];
  for (const percent of SIZES) {
    const capacity = capacityIn(`${percent}%`, scheduled);
    const play = async (policy: Baseline) => {
      const outcome = await replayInTurns(scheduled, policy, { capacity, signal });
      onReplay?.(`${policy.name} at ${percent} % of the working set`);
      return outcome;
    };
    const plain = await play(lru);
    const release = await play(lruWithRelease);
    const oracle = await play(orderOracle);
    const best = await play(belady);
    results.push({
      percent,
      blocks: capacity,
      lru: hitRate(plain),
      lru_with_release: hitRate(release),
      order_oracle: hitRate(oracle),
      belady: hitRate(best),
      shared_gain: sharedGain(scheduled, isShared, release, oracle) / Math.max(1, plain.touches),
    });
  }
  return results;
}

function hitRate({ hits, touches }: Outcome): number {
  return touches === 0 ? 0 : hits / touches;
}

/** By block: 1 when two runs or more use it. */
function sharedBlocks({ calls, workload }: Schedule): Uint8Array {
  const owner = new Int32Array(workload.blockCount).fill(-1);
  const isShared = new Uint8Array(workload.blockCount);
  for (const { call, run } of calls)
    for (const block of call.blocks) {
      if (owner[block] !== -1 && owner[block] !== run) isShared[block] = 1;
      owner[block] = run;
    }
  return isShared;
}

/** Touches of shared blocks that hit in the second replay and not in the first, less those that only hit in the first. */
function sharedGain({ calls }: Schedule, isShared: Uint8Array, from: Outcome, to: Outcome): number {
  let gain = 0;
  for (const [index, { call }] of calls.entries()) {
    const [before = 0, after = 0] = [from.hitsByCall[index], to.hitsByCall[index]];
    const changed = call.blocks.subarray(Math.min(before, after), Math.max(before, after));
    for (const block of changed) gain += (isShared[block] as number) * Math.sign(after - before);
  }
  return gain;
}
