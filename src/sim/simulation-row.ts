import { mean, quantile } from "simple-statistics";
import type { Outcome } from "./replay.ts";
import type { Schedule } from "./schedule.ts";
import type { ServiceTimes } from "./serve.ts";

/** One policy in one replay, as `--json` prints it. */
export interface SimulationRow {
  readonly trace: string;
  readonly policy: string;
  /** Blocks. */
  readonly capacity: number;
  /** The capacity as it was asked for: `25%`, `4096t` or `64`. */
  readonly capacity_given: string;
  /** Runs open at once. */
  readonly concurrency: number;
  readonly seed: number;
  /** How calls came: by the trace's own times, or open runs by chance. */
  readonly order: "own" | "random";
  readonly calls: number;
  /** Block touches found in cache, contiguous from the prompt's start, over all block touches; in [0, 1]. */
  readonly hit_rate: number;
  /** Share of the gain from LRU to Belady, 1 is all of it; null where there is none. */
  readonly gap_closed: number | null;
  /** Share of the gain from LRU to the order oracle, 1 is all of it; null where there is none. */
  readonly oracle_share: number | null;
  /** Blocks. */
  readonly evictions: number;
  /** Prompt tokens computed, in whole blocks. */
  readonly prefill_tokens: number;
  /** Modelled milliseconds from arrival to first token. */
  readonly ttft_ms: {
    readonly mean: number;
    readonly p50: number;
    readonly p95: number;
    readonly p99: number;
  };
  /** Modelled. */
  readonly calls_per_second: number;
  /** Blocks computed ahead of time, by what became of them. */
  readonly prefetch: { readonly used: number; readonly wasted: number };
  /** Microseconds that the policy takes per call: to see it, and to choose all that must go. */
  readonly decision_us: { readonly mean: number; readonly p99: number };
}

/** Hit rates in [0, 1] that a row's shares are taken of. */
export interface Reference {
  readonly lru: number;
  readonly oracle: number;
  readonly belady: number;
}

export interface Cell {
  readonly policy: string;
  readonly given: string;
  /** Blocks. */
  readonly capacity: number;
  readonly scheduled: Schedule;
  readonly outcome: Outcome;
  readonly times: ServiceTimes;
  readonly reference: Reference;
}

/** Gains below this are rounding. */
const LEAST_GAIN = 1e-9;

export function toRow(cell: Cell): SimulationRow {
  const { policy, given, capacity, scheduled, outcome, times, reference } = cell;
  const hitRate = outcome.touches === 0 ? 0 : outcome.hits / outcome.touches;
  const share = (most: number) => {
    const gain = most - reference.lru;
    return gain < LEAST_GAIN ? null : (hitRate - reference.lru) / gain;
  };
  const ttft = [...times.ttftMs];
  return {
    trace: scheduled.workload.name,
    policy,
    capacity,
    capacity_given: given,
    concurrency: scheduled.concurrency,
    seed: scheduled.seed,
    order: scheduled.isTimed ? "own" : "random",
    calls: outcome.calls,
    hit_rate: hitRate,
    gap_closed: share(reference.belady),
    oracle_share: share(reference.oracle),
    evictions: outcome.evictions,
    prefill_tokens: times.prefillTokens,
    ttft_ms: { mean: average(ttft), p50: at(ttft, 0.5), p95: at(ttft, 0.95), p99: at(ttft, 0.99) },
    calls_per_second: times.callsPerSecond,
    prefetch: outcome.prefetch,
    decision_us: { mean: average(outcome.decisionUs), p99: at(outcome.decisionUs, 0.99) },
  };
}

function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : mean([...values]);
}

function at(values: readonly number[], share: number): number {
  return values.length === 0 ? 0 : quantile([...values], share);
}
