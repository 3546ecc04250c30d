import type { Advice, Outcome } from "./action.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { Clock } from "./clock.ts";
import type { PromptTotals } from "./engine.ts";
import type { Event } from "./event.ts";
import type { Repeats } from "./gate.ts";
import type { LedgerEntry } from "./ledger.ts";

/** What is told about a connection besides what happens. */
export interface TelemetrySource {
  readonly engine: string;
  readonly clock: Clock;
  /** False: decisions are made and not carried out, so that none has an outcome. */
  readonly cacheHints: boolean;
  /** Read when metrics are collected. */
  readonly stats: () => TelemetryStats;
}

/** Numbers that are kept anyway. */
export interface TelemetryStats {
  readonly openRuns: number;
  readonly nextAgent: { readonly asked: number; readonly right: number };
  /** What cachesage itself asked of the engine, such as prefetches: part of what the engine's own metrics show. */
  readonly warmUps?: PromptTotals;
  /** Model calls that were made a second time because they were late. */
  readonly repeats?: Repeats;
  readonly store?: { readonly batches: number; readonly waiting: number; readonly failures: number };
}

/** Told of what happens on one connection, while it happens: every method is synchronous and quick. What it throws is contained. */
export interface TelemetryObserver {
  event?(event: Event): void;
  /** A decision, right after the event that led to it; it has an outcome already when the arbiter dropped it. */
  decision?(entry: LedgerEntry): void;
  /** What became of a hint. @param policy who wanted it; undefined when that is too long ago. */
  outcome?(hint: Advice, outcome: Outcome, policy: string | undefined): void;
  /** How long a decision took, in microseconds, with taking in what it is about. */
  decided?(microseconds: number): void;
  /** What the engine tells of its cache; its events are read only where somebody takes them. */
  cacheEvent?(event: CacheEvent): void;
  /** A fault of ours, of a policy or of an adapter, which was contained. */
  fault?(where: string, error: unknown): void;
  /** The connection is closed. */
  close?(): void;
}

/** Where observations go. One may be attached to several connections. */
export interface Telemetry {
  readonly name: string;
  attach(source: TelemetrySource): TelemetryObserver;
}
