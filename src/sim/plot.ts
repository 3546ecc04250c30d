import { median } from "simple-statistics";
import { renderSvg } from "./chart.ts";
import { groupSeeds } from "./simulate-table.ts";
import type { SimulationRow } from "./simulation-row.ts";

const COLUMNS = 2;
const PANEL = { width: 460, height: 300 } as const;
const INSIDE = { left: 62, right: 28, top: 44, bottom: 50 } as const;
const LEGEND = 40;
/** They know what is to come: no policy can be better. */
const BOUNDS: readonly string[] = ["unbounded", "belady", "order-oracle"];

/** Hit rate against cache size as SVG: a panel for each workload and number of open runs, a line for each policy, the first one bold, bounds dashed. */
export function plotRows(rows: readonly SimulationRow[]): string {
  const policies = [...new Set(rows.map(({ policy }) => policy))];
  const panels = [...new Set(rows.map(nameOf))];
  const isRelative = rows.every(({ capacity_given }) => capacity_given.endsWith("%"));
  const size = isRelative
    ? (row: SimulationRow) => Number.parseFloat(row.capacity_given)
    : (row: SimulationRow) => row.capacity;
  const columns = Math.min(COLUMNS, panels.length);
  const place = (panel: number) => ({
    left: (panel % columns) * PANEL.width,
    top: LEGEND + Math.floor(panel / columns) * PANEL.height,
  });
  const option = {
    legend: {
      top: 10,
      data: policies,
      itemWidth: 18,
      itemHeight: 8,
      itemGap: 8,
      textStyle: { fontSize: 11 },
    },
    title: panels.map((text, panel) => ({
      text,
      left: place(panel).left + INSIDE.left,
      top: place(panel).top + 8,
      textStyle: { fontSize: 13 },
    })),
    grid: panels.map((_, panel) => ({
      left: place(panel).left + INSIDE.left,
      top: place(panel).top + INSIDE.top,
      width: PANEL.width - INSIDE.left - INSIDE.right,
      height: PANEL.height - INSIDE.top - INSIDE.bottom,
    })),
    xAxis: panels.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      name: isRelative ? "cache size, % of the working set" : "cache size, blocks",
      nameLocation: "middle",
      nameGap: 26,
    })),
    yAxis: panels.map((_, gridIndex) => ({
      gridIndex,
      type: "value",
      min: 0,
      max: 100,
      name: "hit rate, %",
      nameLocation: "middle",
      nameGap: 34,
    })),
    series: panels.flatMap((panel, axis) =>
      policies.map((policy, index) => ({
        name: policy,
        type: "line",
        symbolSize: index === 0 ? 6 : 4,
        lineStyle: { width: index === 0 ? 3 : 1.5, type: BOUNDS.includes(policy) ? "dashed" : "solid" },
        z: index === 0 ? 3 : 2,
        xAxisIndex: axis,
        yAxisIndex: axis,
        data: points(
          rows.filter((row) => nameOf(row) === panel && row.policy === policy),
          size,
        ),
      })),
    ),
  };
  const height = LEGEND + Math.ceil(panels.length / columns) * PANEL.height;
  return renderSvg(option, columns * PANEL.width, height);
}

function nameOf({ trace, concurrency }: SimulationRow): string {
  return `${trace}, ${concurrency} open runs`;
}

/** Medians over the seeds: cache size and hit rate in percent, smallest cache first. */
function points(
  rows: readonly SimulationRow[],
  size: (row: SimulationRow) => number,
): readonly (readonly [number, number])[] {
  return groupSeeds(rows)
    .map((seeds) => [median(seeds.map(size)), 100 * median(seeds.map(({ hit_rate }) => hit_rate))] as const)
    .toSorted(([a], [b]) => a - b);
}
