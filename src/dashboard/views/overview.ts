import { quantile } from "simple-statistics";
import type { Bucket } from "../history.ts";
import type { Observed } from "../observed.ts";

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
    buckets: buckets.map((bucket) => ({
      requests: bucket.requests,
      promptTokens: bucket.promptTokens,
      cachedTokens: bucket.cachedTokens,
      shadowedTokens: bucket.shadowedTokens,
      lruTokens: Math.round(bucket.lruTokens),
      releaseTokens: Math.round(bucket.releaseTokens),
      mostlyCached: quantiles(bucket.firstTokens[0]),
      lessCached: quantiles(bucket.firstTokens[1]),
      unknownCached: quantiles(bucket.firstTokens[2]),
    })),
  };
}

function shadowState(observed: Observed): "shown" | "no-capacity" | "catching-up" {
  if (observed.capacityTokens === undefined) return "no-capacity";
  return observed.shadowsCount ? "shown" : "catching-up";
}

function quantiles(samples: readonly number[]) {
  if (samples.length === 0) return null;
  const [p50 = 0, p95 = 0] = quantile([...samples], [0.5, 0.95]);
  return { count: samples.length, p50, p95 };
}
