import type { Baseline } from "./cache-policy.ts";
import { capacityIn } from "./capacity.ts";
import { measuredEngine } from "./cost-model.ts";
import { baselines } from "./registries.ts";
import { type Outcome, replayInTurns } from "./replay.ts";
import { type Schedule, schedule, type ScheduleOptions } from "./schedule.ts";
import { serve } from "./serve.ts";
import { type Reference, type SimulationRow, toRow } from "./simulation-row.ts";
import type { Workload } from "./workload.ts";

/** What a row's shares are taken of; replayed even when nobody asks to see them. */
type ReferenceName = "lru" | "order-oracle" | "belady";

/** The policies to replay, in the order in which they are shown. */
export interface Contenders {
  readonly listed: readonly Baseline[];
  readonly references: Readonly<Record<ReferenceName, Baseline>>;
  /** Listed or not, each once. */
  readonly all: readonly Baseline[];
}

export interface SimulationOptions {
  readonly contenders: Contenders;
  /** As CAPACITY has them. */
  readonly capacity: readonly string[];
  readonly concurrency: readonly number[];
  readonly seed: readonly number[];
  readonly order?: ScheduleOptions["order"];
  /** Block touches after which a replay stops. */
  readonly maxTouches?: number | undefined;
  /** Blocks that the engine has the time to compute ahead between two calls. Default: 0. */
  readonly prefetch?: number;
  /** Heard within a tenth of a second while a replay goes on. */
  readonly signal?: AbortSignal;
  /** Told after each replay what it was. */
  readonly onReplay?: (replayed: string) => void;
}

/** Finds policies by name, each once. Throws UnknownNameError. */
export async function loadContenders(names: readonly string[]): Promise<Contenders> {
  const listed = await Promise.all([...new Set(names)].map((name) => baselines.load(name)));
  const lru = await baselines.load("lru");
  const oracle = await baselines.load("order-oracle");
  const belady = await baselines.load("belady");
  const references = { lru, "order-oracle": oracle, belady };
  return { listed, references, all: [...new Set([...listed, lru, oracle, belady])] };
}

/** Replays that a workload takes. */
export function replaysOf({ contenders, capacity, concurrency, seed }: SimulationOptions): number {
  return contenders.all.length * capacity.length * concurrency.length * seed.length;
}

/**
 * Replays a workload under every policy, capacity, number of open runs and seed; one row for each that is listed.
 * Rejects with the signal's reason when it aborts.
 */
export async function simulate(
  workload: Workload,
  options: SimulationOptions,
): Promise<readonly SimulationRow[]> {
  const rows: SimulationRow[] = [];
  const { order = "auto", maxTouches = Number.POSITIVE_INFINITY } = options;
  for (const concurrency of options.concurrency)
    for (const seed of options.seed) {
      const scheduled = schedule(workload, { concurrency, seed, order, maxTouches });
      for (const given of options.capacity) rows.push(...(await simulateCell(scheduled, given, options)));
    }
  return rows;
}

/** All policies on one schedule at one capacity. */
async function simulateCell(
  scheduled: Schedule,
  given: string,
  { contenders, prefetch = 0, signal, onReplay }: SimulationOptions,
): Promise<readonly SimulationRow[]> {
  const capacity = capacityIn(given, scheduled);
  const { workload, concurrency, seed } = scheduled;
  const outcomes = new Map<Baseline, Outcome>();
  for (const policy of contenders.all) {
    const now = milliseconds;
    outcomes.set(
      policy,
      await replayInTurns(scheduled, policy, { capacity, prefetchBlocks: prefetch, now, signal }),
    );
    onReplay?.(`${workload.name}: ${policy.name}, capacity ${given}, ${concurrency} open runs, seed ${seed}`);
  }
  const hitRate = (policy: Baseline) => {
    const { hits = 0, touches = 0 } = outcomes.get(policy) ?? {};
    return touches === 0 ? 0 : hits / touches;
  };
  const { lru, belady, "order-oracle": oracle } = contenders.references;
  const reference: Reference = { lru: hitRate(lru), oracle: hitRate(oracle), belady: hitRate(belady) };
  return contenders.listed.flatMap((policy) => {
    const outcome = outcomes.get(policy);
    const times = outcome && serve(scheduled, outcome, measuredEngine, capacity);
    return times ? toRow({ policy: policy.name, given, capacity, scheduled, outcome, times, reference }) : [];
  });
}

function milliseconds(): number {
  return performance.now();
}
