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
 */
export class ServedTotals {
  readonly #names: TotalNames;
  readonly #warmUps: WarmUpTotals;
  #first: Reading | undefined;

  constructor(names: TotalNames, warmUps: WarmUpTotals) {
    this.#names = names;
    this.#warmUps = warmUps;
  }

  get warmUps(): PromptTotals {
    return this.#warmUps.get();
  }

  /** Counts from here on. */
  begin(sums: ReadonlyMap<string, number>): void {
    this.#first = this.#readingOf(sums);
  }

  /** Undefined before it has begun; a number is absent where the engine does not count it. */
  since(sums: ReadonlyMap<string, number>): Partial<PromptTotals> | undefined {
    const first = this.#first;
    if (!first) return undefined;
    const now = this.#readingOf(sums);
    return Object.fromEntries(
      keys.flatMap((key) => {
        const value = now.counted[key];
        if (value === undefined) return [];
        // Some engines show a counter only once there is something to count.
        const counted = value - (first.counted[key] ?? 0);
        return [[key, Math.max(0, counted - (now.warmUps[key] - first.warmUps[key]))]];
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
