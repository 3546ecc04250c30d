import { chart, lineSeries, timeAxis } from "../chart.js";
import { number, words } from "../elements.js";
import { duration, NONE, sinceStart } from "../format.js";

const MISSING = {
  app: "No first token was seen: they show when answers are streamed.",
  recording: "A recording does not tell when first tokens came.",
};

const quantiles = (of) => (of ? `${duration(of.p50)} / ${duration(of.p95)}` : NONE);

function build({ buckets, bucketMs }, colors) {
  const points = (kind, key) =>
    buckets.map((bucket, index) => [(index + 1) * bucketMs, bucket[kind]?.[key] ?? null]);
  const lines = (kind, name, color) =>
    buckets.some((bucket) => bucket[kind])
      ? [
          ...lineSeries(`${name}, p50`, points(kind, "p50"), color),
          ...lineSeries(`${name}, p95`, points(kind, "p95"), color, { lineStyle: { width: 1 } }),
        ]
      : [];
  return {
    legend: { itemGap: 10 },
    grid: { left: 8, right: 16, top: 62, bottom: 8, outerBoundsMode: "same" },
    tooltip: { trigger: "axis", valueFormatter: duration },
    xAxis: timeAxis(bucketMs, buckets.length),
    yAxis: { type: "value", min: 0, splitNumber: 4, axisLabel: { formatter: duration } },
    series: [
      ...lines("mostlyCached", "half cached", colors.ours),
      ...lines("lessCached", "less", colors.release),
      ...lines("unknownCached", "not reported", colors.lru),
    ],
  };
}

/** Time to the first token, by how much of the prompt was cached. */
export function firstTokenChart() {
  const drawn = chart("Time to first token", {
    build,
    columns: [
      words("until", ({ until }) => until),
      number("half cached or more: p50 / p95", ({ mostlyCached }) => quantiles(mostlyCached)),
      number("less: p50 / p95", ({ lessCached }) => quantiles(lessCached)),
      number("not reported: p50 / p95", ({ unknownCached }) => quantiles(unknownCached)),
    ],
  });
  return {
    element: drawn.element,
    update(data, head) {
      const [mostly, less, unknown] = data.firstTokens;
      const rows = data.buckets.map((bucket, index) => ({
        ...bucket,
        until: sinceStart((index + 1) * data.bucketMs),
      }));
      const isEmpty = !mostly && !less && !unknown;
      drawn.update(
        data,
        isEmpty ? [] : rows,
        `Half cached or more: ${quantiles(mostly)}; less: ${quantiles(less)}.`,
        isEmpty ? MISSING[head.kind] : "Thick: p50, thin: p95, of the last 8 stretches.",
      );
    },
  };
}
