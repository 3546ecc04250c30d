import { chart, lineSeries, timeAxis } from "../chart.js";
import { number, words } from "../elements.js";
import { count, duration, NONE, percent, sinceStart } from "../format.js";

/** Buckets over which hit rates are averaged, so that one long prompt is no peak. */
const WINDOW = 8;
const SHADOWS = {
  "no-capacity":
    "No shadow lines: the engine does not tell how many tokens its cache holds. Pass kvTokens to sage.dashboard() to see them.",
  "catching-up":
    "The shadow lines begin when the shadows have been full once: the dashboard was opened later than the app's first request.",
};

export const share = (part, whole) => (whole > 0 ? part / whole : null);

function rates({ buckets, bucketMs }) {
  return buckets.map(({ requests }, end) => {
    const latest = buckets.slice(Math.max(0, end - WINDOW + 1), end + 1);
    const sum = (key) => latest.reduce((total, bucket) => total + bucket[key], 0);
    return {
      until: sinceStart((end + 1) * bucketMs),
      requests,
      ours: share(sum("cachedTokens"), sum("promptTokens")),
      lru: share(sum("lruTokens"), sum("shadowedTokens")),
      release: share(sum("releaseTokens"), sum("shadowedTokens")),
    };
  });
}

function build({ rows, bucketMs, hasShadows, name }, colors) {
  const points = (key) =>
    rows.map((row, index) => [(index + 1) * bucketMs, row[key] === null ? null : 100 * row[key]]);
  const shadow = (label, key, width) =>
    hasShadows ? lineSeries(label, points(key), colors[key], { lineStyle: { width } }) : [];
  return {
    legend: {},
    tooltip: {
      trigger: "axis",
      valueFormatter: (value) => (Number.isFinite(value) ? `${value.toFixed(1)} %` : NONE),
    },
    xAxis: timeAxis(bucketMs, rows.length),
    yAxis: { type: "value", min: 0, max: 100, axisLabel: { formatter: "{value} %" } },
    series: [
      ...shadow("LRU (shadow)", "lru", 3),
      ...shadow("without prediction (shadow)", "release", 1.5),
      ...lineSeries(name, points("ours"), colors.ours, {
        areaStyle: { color: colors.ours, opacity: 0.1 },
        lineStyle: { width: 3 },
        z: 5,
      }),
    ],
  };
}

/** Hit rate over time, with its two shadows where they can be told honestly. */
export function hitRateChart() {
  const drawn = chart("Hit rate", {
    build,
    columns: [
      words("until", ({ until }) => until),
      number("hit rate", ({ ours }) => percent(ours)),
      number("LRU", ({ lru }) => percent(lru)),
      number("without prediction", ({ release }) => percent(release)),
      number("requests", ({ requests }) => count(requests)),
    ],
  });
  return {
    element: drawn.element,
    update(data, head, summary) {
      const { bucketMs, shadows } = data;
      const rows = rates(data);
      const name = head.cacheHints ? "cachesage" : "the engine";
      const known = `Mean of the last ${WINDOW} stretches of ${duration(bucketMs)}. Shadows get the same requests and a cache of ${count(shadows.capacityTokens)} tokens. Without prediction: LRU, but what ended runs leave goes first.`;
      drawn.update(
        { rows, bucketMs, hasShadows: shadows.promptTokens > 0, name },
        rows,
        summary,
        SHADOWS[shadows.state] ?? known,
      );
    },
  };
}
