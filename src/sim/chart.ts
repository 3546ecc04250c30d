import { type EChartsCoreOption, init, use } from "echarts/core";
import { HeatmapChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent, VisualMapComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([
  HeatmapChart,
  LineChart,
  GridComponent,
  LegendComponent,
  TitleComponent,
  VisualMapComponent,
  SVGRenderer,
]);

/** Told apart also without colours, by their lightness. */
const PALETTE = ["#0b6e4f", "#d1495b", "#3066be", "#c8790a", "#7b2d8b", "#5c6b73", "#00a6a6", "#8c4a2f"];

/** Turns lightness round and leaves hues, where the reader's page is dark. */
const DARK =
  "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(0.93) hue-rotate(180deg) } }</style>";

/** Draws a chart as SVG, on white, or on black for readers who have it dark. Sizes in pixels. */
export function renderSvg(option: EChartsCoreOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, backgroundColor: "#ffffff", color: PALETTE, ...option });
    // No XML may hold control characters, but names of agents and traces may.
    return chart
      .renderToSVGString()
      .replaceAll(/[^\P{Cc}\t\n\r]/gu, "\uFFFD")
      .replace(">", `>${DARK}`);
  } finally {
    chart.dispose();
  }
}
