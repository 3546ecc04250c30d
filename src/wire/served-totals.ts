import type { PromptTotals } from "../runtime/engine.ts";
import type { WarmUpTotals } from "./warm-up-totals.ts";

/** What an engine's Prometheus page calls its counters; several names are added up. */
export type TotalNames = Readonly<Record<keyof PromptTotals, readonly string[]>>;

interface Reading {
  readonly counted: Partial<PromptTotals>;
  readonly warmUps: PromptTotals;
}

const keys = ["requests", "promptTokens", "cachedTokens"] as const;

/**
 * Takes an adapter's warm-ups out of what an engine's own counters say since the connection: what is left is the work of apps.
 * A warm-up that was withdrawn under way is not taken out, since nobody tells how far it came; and the engine's histograms,
 * such as of times to first token, have warm-ups in them for good.
 *
 * Counters that are lower than when they were last read are those of an engine that began anew, as Prometheus has it
 * (https://prometheus.io/docs/prometheus/latest/querying/functions/#rate): what they say is added to what was told before.
 */
export class ServedTotals {
  readonly #names: TotalNames;
  readonly #warmUps: WarmUpTotals;
  /** What the counters had when the connection, or else the engine, began; and when they were last read. */
  #first: Reading | undefined;
  #latest: Reading | undefined;
  /** What engines have served that are gone. */
  readonly #before: Record<keyof PromptTotals, number> = { requests: 0, promptTokens: 0, cachedTokens: 0 };

  constructor(names: TotalNames, warmUps: WarmUpTotals) {
    this.#names = names;
    this.#warmUps = warmUps;
  }

  get warmUps(): PromptTotals {
    return this.#warmUps.get();
  }

  /** Counts from here on; a second connection goes on with what the first one began. */
  begin(sums: ReadonlyMap<string, number>): void {
    this.#first ??= this.#latest = this.#readingOf(sums);
  }

  /** Undefined before it has begun; a number is absent where the engine does not count it. */
  since(sums: ReadonlyMap<string, number>): Partial<PromptTotals> | undefined {
    if (!this.#first || !this.#latest) return undefined;
    const now = this.#readingOf(sums);
    let { counted: latest } = this.#latest;
    // A counter that is not shown this time says nothing.
    if (keys.some((key) => (now.counted[key] ?? Number.POSITIVE_INFINITY) < (latest[key] ?? 0))) {
      for (const key of keys) this.#before[key] += servedBetween(this.#first, this.#latest, key) ?? 0;
      this.#first = { counted: {}, warmUps: this.#latest.warmUps };
      latest = {};
    }
    this.#latest = { counted: { ...latest, ...now.counted }, warmUps: now.warmUps };
    const first = this.#first;
    return Object.fromEntries(
      keys.flatMap((key) => {
        const served = servedBetween(first, now, key);
        return served === undefined ? [] : [[key, this.#before[key] + served]];
      }),
    );
  }

  #readingOf(sums: ReadonlyMap<string, number>): Reading {
    const counted = Object.fromEntries(
      keys.flatMap((key) => {
        const values = this.#names[key].flatMap((name) => sums.get(name) ?? []);
        return values.length === 0 ? [] : [[key, values.reduce((total, value) => total + value, 0)]];
      }),
    );
    return { counted, warmUps: this.warmUps };
  }
}

function servedBetween(first: Reading, last: Reading, key: keyof PromptTotals): number | undefined {
  const value = last.counted[key];
  if (value === undefined) return undefined;
  // Some engines show a counter only once there is something to count.
  return Math.max(0, value - (first.counted[key] ?? 0) - (last.warmUps[key] - first.warmUps[key]));
}
