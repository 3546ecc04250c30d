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
const PALETTE = ["#0b6e4f", "#d1495b", "#3066be", "#edae49", "#7b2d8b", "#5c6b73", "#00a6a6", "#8c4a2f"];

/** Draws a chart as SVG, on white with a margin, so that it reads on light and dark pages alike. Sizes in pixels. */
export function renderSvg(option: EChartsCoreOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption({ animation: false, backgroundColor: "#ffffff", color: PALETTE, ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
