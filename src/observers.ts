import { z } from "zod";
import type { Advice, Outcome } from "./runtime/action.ts";
import type { CacheEvent } from "./runtime/cache-event.ts";
import type { Event } from "./runtime/event.ts";
import type { Ledger } from "./runtime/ledger.ts";
import type { Telemetry, TelemetryObserver, TelemetrySource } from "./runtime/telemetry.ts";

/** Options that decide who is told. */
export const observersOptions = {
  telemetry: z
    .array(
      z.custom<Telemetry>(
        (value) => typeof (value as Telemetry | null)?.attach === "function",
        "expected a Telemetry, such as prometheus({ registry })",
      ),
    )
    .default([])
    .describe("Where observations go, such as prometheus({ registry })."),
};

export interface ObserversParts extends TelemetrySource {
  readonly ledger: Ledger;
  /** Told that a telemetry threw. */
  readonly onFault: () => void;
}

/** Tells telemetry what happens on one connection. A telemetry that throws misses what it was told, and nothing else. */
export class Observers {
  readonly #ledger: Ledger;
  readonly #observers: readonly TelemetryObserver[];
  readonly #onFault: () => void;
  /** Decisions told so far. */
  #told = 0;

  private constructor(telemetry: readonly Telemetry[], parts: ObserversParts) {
    this.#ledger = parts.ledger;
    this.#onFault = parts.onFault;
    this.#observers = telemetry.map((one) => one.attach(parts));
  }

  /** Undefined when nobody is to be told, so that nothing is done. */
  static of(telemetry: readonly Telemetry[], parts: ObserversParts): Observers | undefined {
    return telemetry.length === 0 ? undefined : new Observers(telemetry, parts);
  }

  event(event: Event): void {
    this.#each((observer) => observer.event?.(event));
  }

  /** Tells of the decisions that are new in the ledger. */
  decisions(): void {
    const entries = [];
    for (const entry of this.#ledger) {
      if (entry.id <= this.#told) break;
      entries.push(entry);
    }
    this.#told = this.#ledger.count;
    for (const entry of entries.toReversed()) this.#each((observer) => observer.decision?.(entry));
  }

  outcome(hint: Advice, outcome: Outcome, policy: string | undefined): void {
    this.#each((observer) => observer.outcome?.(hint, outcome, policy));
  }

  decided(microseconds: number): void {
    this.#each((observer) => observer.decided?.(microseconds));
  }

  get wantsCacheEvents(): boolean {
    return this.#observers.some((observer) => observer.cacheEvent !== undefined);
  }

  cacheEvent(event: CacheEvent): void {
    this.#each((observer) => observer.cacheEvent?.(event));
  }

  fault(where: string, error: unknown): void {
    this.#each((observer) => observer.fault?.(where, error));
  }

  close(): void {
    this.#each((observer) => observer.close?.());
  }

  #each(tell: (observer: TelemetryObserver) => unknown): void {
    for (const observer of this.#observers)
      try {
        const result = tell(observer);
        if (result instanceof Promise) result.catch(() => this.#onFault());
      } catch {
        this.#onFault();
      }
  }
}
