import { quantile } from "simple-statistics";
import type { Bucket } from "../history.ts";
import type { Observed } from "../observed.ts";

/** Buckets over which first tokens are summed up, so that one slow request is no peak. */
const WINDOW = 8;
type Quantiles = { readonly count: number; readonly p50: number; readonly p95: number } | null;
type FirstTokens = Readonly<Record<"mostlyCached" | "lessCached" | "unknownCached", Quantiles>>;
/** Of buckets that change no more. */
const closed = new WeakMap<Bucket, FirstTokens>();

/** Hit rates, first tokens and what was saved, from the start until now. */
export function overview(observed: Observed) {
  const { history, source, engine } = observed;
  const { buckets, width, startedAt } = history;
  const sum = (of: (bucket: Bucket) => number) => buckets.reduce((total, bucket) => total + of(bucket), 0);
  const stats = source.stats();
  const { health } = engine;
  const shadowed = buckets.filter(({ shadowedTokens }) => shadowedTokens > 0);
  const shadowedSum = (of: (bucket: Bucket) => number) =>
    shadowed.reduce((total, bucket) => total + of(bucket), 0);
  return {
    startedAt,
    bucketMs: width,
    requests: sum(({ requests }) => requests),
    events: observed.events,
    openRuns: stats.openRuns,
    promptTokens: sum(({ promptTokens }) => promptTokens),
    cachedTokens: sum(({ cachedTokens }) => cachedTokens),
    shadows: {
      /** Why there are none, or what they rest on. */
      state: shadowState(observed),
      capacityTokens: observed.capacityTokens ?? null,
      promptTokens: shadowedSum(({ shadowedTokens }) => shadowedTokens),
      cachedTokens: shadowedSum(({ cachedTokens }) => cachedTokens),
      lruTokens: shadowedSum(({ lruTokens }) => lruTokens),
      releaseTokens: shadowedSum(({ releaseTokens }) => releaseTokens),
    },
    firstTokens: ([0, 1, 2] as const).map((kind) =>
      quantiles(buckets.flatMap(({ firstTokens }) => firstTokens[kind])),
    ),
    prefetch: health.status?.prefetch ?? null,
    hints: stats.hints,
    faults: stats.faults,
    faultKinds: [...observed.faults].map(([kind, count]) => ({ kind, count })),
    buckets: buckets.map((bucket, index) => ({
      requests: bucket.requests,
      promptTokens: bucket.promptTokens,
      cachedTokens: bucket.cachedTokens,
      shadowedTokens: bucket.shadowedTokens,
      lruTokens: Math.round(bucket.lruTokens),
      releaseTokens: Math.round(bucket.releaseTokens),
      ...latestFirstTokens(buckets, index),
    })),
  };
}

function shadowState(observed: Observed): "shown" | "no-capacity" | "catching-up" {
  if (observed.capacityTokens === undefined) return "no-capacity";
  return observed.shadowsCount ? "shown" : "catching-up";
}

/** Quantiles over a bucket and the seven before it. */
function latestFirstTokens(buckets: readonly Bucket[], index: number): FirstTokens {
  const bucket = buckets[index] as Bucket;
  const known = closed.get(bucket);
  if (known) return known;
  const latest = buckets.slice(Math.max(0, index + 1 - WINDOW), index + 1);
  const of = (kind: 0 | 1 | 2) => quantiles(latest.flatMap((one) => one.firstTokens[kind]));
  const found = { mostlyCached: of(0), lessCached: of(1), unknownCached: of(2) };
  if (index < buckets.length - 1) closed.set(bucket, found);
  return found;
}

function quantiles(samples: readonly number[]): Quantiles {
  if (samples.length === 0) return null;
  const [p50 = 0, p95 = 0] = quantile([...samples], [0.5, 0.95]);
  return { count: samples.length, p50, p95 };
}
