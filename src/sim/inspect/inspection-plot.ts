import { renderSvg } from "../chart.ts";
import type { Inspection } from "./inspection.ts";

const WIDTH = 980;
const TOP = 68;
const LEAST_PLOT = 340;
const ROW = 16;
const BOTTOM = 130;
const LINES = [
  ["LRU", "lru"],
  ["LRU + release", "lru_with_release"],
  ["order oracle", "order_oracle"],
  ["Belady", "belady"],
] as const;
const AGENT_LABEL = { interval: 0, width: 105, overflow: "truncate" } as const;
const END = "(end)";
/** Agents that the heat map shows: with more it would be higher than wide, and no picture holds the square of thousands. */
const MOST_AGENTS = 60;

/** An inspection as SVG: who follows whom as a heat map, beside it hit rate against cache size. */
export function plotInspection({ trace, transitions, sizes }: Inspection): string {
  const { agents, counts, ends } = transitions;
  const names = agents.slice(0, MOST_AGENTS).map(axisName);
  const busiest = names.length < agents.length ? ` (busiest ${names.length} of ${agents.length})` : "";
  const height = Math.max(LEAST_PLOT, ROW * names.length);
  const option = {
    title: [
      {
        text: `${trace}: who follows whom, share of row${busiest}`,
        left: 20,
        top: 10,
        textStyle: { fontSize: 13 },
      },
      { text: "hit rate against cache size", left: 570, top: 10, textStyle: { fontSize: 13 } },
    ],
    legend: { data: LINES.map(([name]) => name), left: 570, top: 34 },
    grid: [
      { left: 130, top: TOP, width: 340, height },
      { left: 620, top: TOP, width: 330, height: LEAST_PLOT },
    ],
    xAxis: [
      { gridIndex: 0, type: "category", data: [...names, END], axisLabel: { ...AGENT_LABEL, rotate: 90 } },
      {
        gridIndex: 1,
        type: "value",
        min: 0,
        max: 100,
        name: "cache size, % of the working set",
        nameLocation: "middle",
        nameGap: 26,
      },
    ],
    yAxis: [
      { gridIndex: 0, type: "category", data: names, inverse: true, axisLabel: AGENT_LABEL },
      {
        gridIndex: 1,
        type: "value",
        min: 0,
        max: 100,
        name: "hit rate, %",
        nameLocation: "middle",
        nameGap: 34,
      },
    ],
    visualMap: {
      seriesIndex: 0,
      min: 0,
      max: 1,
      orient: "horizontal",
      left: 130,
      top: 34,
      itemWidth: 12,
      itemHeight: 120,
      precision: 1,
      text: ["1", "0"],
      inRange: { color: ["#f4f6f8", "#7fb3d5", "#154360"] },
    },
    series: [
      {
        type: "heatmap",
        xAxisIndex: 0,
        yAxisIndex: 0,
        data: shares(counts, ends, names.length),
        label: { show: names.length <= 8, formatter: ({ data }: { data: readonly number[] }) => label(data) },
      },
      ...LINES.map(([name, key]) => ({
        name,
        type: "line",
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: sizes.map((size) => [size.percent, 100 * size[key]]),
      })),
    ],
  };
  return renderSvg(option, WIDTH, TOP + height + BOTTOM);
}

/** ECharts keeps names as keys of plain objects, where `__proto__` is none; a space of no width makes it one. */
function axisName(agent: string): string {
  return agent === "__proto__" ? `\u200B${agent}` : agent || "(none)";
}

/** Column, row and share in [0, 1] of each cell of the first `shown` agents; a row's end is its last cell. */
function shares(
  counts: readonly (readonly number[])[],
  ends: readonly number[],
  shown: number,
): readonly (readonly [number, number, number])[] {
  return counts.slice(0, shown).flatMap((row, current) => {
    const end = ends[current] ?? 0;
    const total = row.reduce((sum, count) => sum + count, end);
    const cells = [...row.slice(0, shown), end];
    return cells.map((count, next) => [next, current, total === 0 ? 0 : count / total] as const);
  });
}

function label([, , share = 0]: readonly number[]): string {
  return share < 0.005 ? "" : share.toFixed(2);
}
