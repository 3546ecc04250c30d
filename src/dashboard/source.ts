import type { Clock } from "../runtime/clock.ts";
import type { CacheStates } from "../runtime/cache-state.ts";
import type { EngineAdapter, EngineInfo } from "../runtime/engine.ts";
import type { Event } from "../runtime/event.ts";
import type { Ledger } from "../runtime/ledger.ts";
import type { Policy, Predictor, Prefixes } from "../runtime/policy.ts";

/** Told what goes on, as long as a dashboard looks on. */
export interface Watcher {
  /** An event that the predictor and the policies have seen already. */
  event(event: Event): void;
  fault(where: string, error: unknown): void;
}

/** A policy as the dashboard shows it. */
export interface ShownPolicy {
  readonly name: string;
  readonly description: string;
  readonly options: unknown;
  /** The policy at work. */
  readonly policy: Policy;
  /** Whether it has faulted so often that it is not asked any more. */
  isLeftOut(): boolean;
}

/** Counts that are kept whether or not a dashboard looks on. */
export interface SourceStats {
  readonly nextAgent: {
    readonly asked: number;
    readonly right: number;
    readonly calibrationError: number | null;
  };
  /** Duration of the newest decisions, in microseconds. */
  readonly decisionUs: readonly number[];
  /** Hints by verb and what became of them, e.g. `prefetch applied`. */
  readonly hints: Readonly<Record<string, number>>;
  readonly faults: number;
  readonly openRuns: number;
}

/** What a dashboard shows: a running app, or a recording that is played. */
export interface DashboardSource {
  readonly kind: "app" | "recording";
  /** Name of the recording; empty for an app. */
  readonly name: string;
  readonly clock: Clock;
  readonly engine: EngineInfo;
  readonly adapter: Pick<EngineAdapter, "supports" | "baseURL" | "status" | "workers">;
  readonly cacheHints: boolean;
  readonly ledger: Ledger;
  readonly predictor: Predictor;
  readonly prefixes: Prefixes;
  readonly policies: readonly ShownPolicy[];
  /** Policies that are switched off. */
  readonly policiesOff: readonly string[];
  stats(): SourceStats;
  /** What the engine's caches hold by its events, since the connection began; absent where there are none. */
  caches?(): CacheStates;
  /** @returns stops it. */
  watch(watcher: Watcher): () => void;
}
