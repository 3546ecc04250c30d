import type { EngineStatus, PromptTotals } from "../runtime/engine.ts";
import type { EngineHttp } from "./engine-http.ts";
import { readMetrics } from "./prometheus.ts";
import type { WarmUpTotals } from "./warm-up-totals.ts";

/** What an engine's Prometheus page calls its counters and gauges; several names are added up. */
export interface MetricNames {
  readonly requests: readonly string[];
  readonly promptTokens: readonly string[];
  readonly cachedTokens: readonly string[];
  readonly running?: readonly string[];
  readonly waiting?: readonly string[];
}

/** A connection waits that many milliseconds for a page of counters, which it can do without. */
const PATIENCE_MS = 1000;
const keys = ["requests", "promptTokens", "cachedTokens"] as const;

interface Reading {
  readonly served: Partial<PromptTotals>;
  readonly warmUps: PromptTotals;
}

/**
 * Reads an engine's own counters as differences since the connection, with the adapter's warm-ups taken out: what is left
 * is the work of apps. A warm-up that was withdrawn under way is not taken out, since nobody tells how far it came; and the
 * engine's histograms, such as of times to first token, have warm-ups in them for good.
 */
export class EngineMetrics {
  readonly #http: EngineHttp;
  readonly #names: MetricNames;
  readonly #warmUps: WarmUpTotals;
  #first: Reading | undefined;

  constructor(http: EngineHttp, names: MetricNames, warmUps: WarmUpTotals) {
    this.#http = http;
    this.#names = names;
    this.#warmUps = warmUps;
  }

  /** True once the server has shown such counters. */
  get isThere(): boolean {
    return this.#first !== undefined;
  }

  get warmUps(): PromptTotals {
    return this.#warmUps.get();
  }

  /** Counts from now on. A server without such a page is left as one that does not tell. */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    const timeout = AbortSignal.timeout(PATIENCE_MS);
    const page = await this.#read(signal ? AbortSignal.any([signal, timeout]) : timeout).catch(
      () => undefined,
    );
    if (page && page.size > 0) this.#first = this.#readingOf(page);
  }

  /** Throws EngineError when the server does not answer. */
  async status(signal: AbortSignal | undefined): Promise<EngineStatus> {
    const page = await this.#read(signal);
    const { running, waiting } = this.#names;
    const [now, first] = [this.#readingOf(page), this.#first];
    const since = (key: keyof PromptTotals): [string, number][] => {
      const value = now.served[key];
      if (value === undefined || first === undefined) return [];
      // Some engines show a counter only once there is something to count.
      const before = first.served[key] ?? 0;
      return [[key, Math.max(0, value - before - (now.warmUps[key] - first.warmUps[key]))]];
    };
    const [isRunning, areWaiting] = [sum(page, running), sum(page, waiting)];
    return {
      ...(isRunning !== undefined && { running: isRunning }),
      ...(areWaiting !== undefined && { waiting: areWaiting }),
      served: Object.fromEntries(keys.flatMap((key) => since(key))),
    };
  }

  #readingOf(page: ReadonlyMap<string, number>): Reading {
    const served = Object.fromEntries(
      keys.flatMap((key) => {
        const value = sum(page, this.#names[key]);
        return value === undefined ? [] : [[key, value]];
      }),
    );
    return { served, warmUps: this.warmUps };
  }

  async #read(signal: AbortSignal | undefined): Promise<ReadonlyMap<string, number>> {
    return readMetrics(await this.#http.text("/metrics", { signal }));
  }
}

/** Undefined when the page has none of the names. */
function sum(page: ReadonlyMap<string, number>, names: readonly string[] = []): number | undefined {
  const values = names.flatMap((name) => page.get(name) ?? []);
  return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0);
}
