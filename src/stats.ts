import type { NextAgentAccuracy } from "./learn/accuracy.ts";
import type { Advice, Outcome } from "./runtime/action.ts";
import type { CacheState } from "./runtime/cache-state.ts";
import type { Worker } from "./runtime/engine.ts";
import type { Repeats } from "./runtime/gate.ts";
import type { TelemetryStats } from "./runtime/telemetry.ts";
import type { SharedStateStats } from "./shared-state.ts";

/** What cachesage did and saw so far. */
export interface CacheSageStats extends TelemetryStats {
  readonly nextAgent: NextAgentAccuracy;
  /** Duration of the newest decisions (at most 8,192), in microseconds. */
  readonly decisionUs: readonly number[];
  /** Hints by verb and what became of them, e.g. `prefetch applied`. */
  readonly hints: Readonly<Record<string, number>>;
  readonly faults: number;
  readonly openRuns: number;
  /** Model calls that were made a second time because they were late, and those of them that answered first. */
  readonly repeats: Repeats;
  /** Set when there is a store. */
  readonly store?: SharedStateStats;
  /** What the engine's caches hold, by its KV events; empty where it tells none. */
  readonly caches: readonly CacheState[];
  /** Each server with the calls that it answered; empty where there is one. */
  readonly workers: readonly Worker[];
}

const DECISIONS_KEPT = 8192;

/** The part of the stats that is counted as it happens. */
export class Tally {
  faults = 0;
  readonly #hints: Record<string, number> = {};
  readonly #decisionUs: number[] = [];
  #decisions = 0;

  decided(microseconds: number): void {
    this.#decisionUs[this.#decisions++ % DECISIONS_KEPT] = microseconds;
  }

  settled({ type }: Advice, { status }: Outcome): void {
    const key = `${type} ${status}`;
    this.#hints[key] = (this.#hints[key] ?? 0) + 1;
  }

  get value(): Pick<CacheSageStats, "decisionUs" | "hints" | "faults"> {
    return { decisionUs: [...this.#decisionUs], hints: { ...this.#hints }, faults: this.faults };
  }
}
