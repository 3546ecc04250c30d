import * as echarts from "./echarts.js";
import { dataTable, h } from "./elements.js";
import { sinceStart } from "./format.js";

const charts = new Set();
/** A plot of fewer pixels has its legend on two lines. */
const NARROW = 420;
const GRID = { left: 8, right: 16, top: 36, bottom: 8, outerBoundsMode: "same" };

/** Colours of the page as it is now. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = [
    "card",
    "line",
    "text",
    "soft",
    "ours",
    "lru",
    "release",
    "second",
    "bad",
    "heat-0",
    "heat-1",
  ];
  return Object.fromEntries(names.map((name) => [name.replace("-", ""), of(name)]));
}

/** Colours that tell agents apart, on light and on dark ground. */
export const AGENT_COLORS = [
  "#3f8f6b",
  "#4a7fc9",
  "#c98a2b",
  "#a05fb5",
  "#c4574f",
  "#3a9fa8",
  "#8a8f3a",
  "#b0688a",
  "#6a78d1",
  "#8d6e57",
];

/**
 * A chart, with a text that says what it shows and its numbers as a table.
 *
 * @param build gives the option for the data, in the colours of the page.
 */
export function chart(title, { build, columns, size = "", tableTitle = `Numbers of: ${title}` }) {
  const plot = h("div", { class: `plot ${size}`, role: "img", "aria-label": title });
  const table = dataTable(tableTitle, columns);
  const note = h("p", { class: "note" });
  const details = h("details", {}, h("summary", { text: "Numbers as a table" }), table.element);
  const element = h("figure", {}, h("figcaption", { text: title }), plot, note, details);
  let drawn;
  let latest;
  const draw = () => {
    if (!latest || !plot.isConnected) return;
    drawn ??= echarts.init(plot, undefined, { renderer: "svg" });
    drawn.setOption(option(build(latest.data, palette()), plot.clientWidth < NARROW), {
      notMerge: true,
      lazyUpdate: true,
    });
  };
  const fillTable = () => {
    if (latest && details.open) table.update(latest.rows);
  };
  details.addEventListener("toggle", fillTable);
  const self = {
    element,
    /** @param summary what somebody who does not see the chart should know. @param below a note; with no rows all there is. */
    update(data, rows, summary, below = "") {
      latest = { data, rows };
      plot.hidden = details.hidden = rows.length === 0;
      plot.setAttribute("aria-label", `${title}. ${summary}`);
      if (note.textContent !== below) note.textContent = below;
      note.hidden = below === "";
      draw();
      fillTable();
    },
    draw,
    resize: () => drawn?.resize(),
    dispose() {
      charts.delete(self);
      drawn?.dispose();
    },
  };
  charts.add(self);
  return self;
}

export const redrawAll = () => charts.forEach((one) => one.draw());
export const disposeAll = () => charts.forEach((one) => one.dispose());
addEventListener("resize", () => {
  for (const one of charts) one.resize();
});

/** What all charts have in common. Tooltips are drawn, not written as HTML: nothing that is shown can be markup. */
function option(given, isNarrow) {
  const { text, soft, line, card } = palette();
  const axis = (one) => ({
    axisLine: { lineStyle: { color: line } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: line } },
    nameTextStyle: { color: soft },
    ...one,
    axisLabel: {
      color: soft,
      hideOverlap: true,
      // Names may be of any length; tooltip and table have them whole.
      ...(one.type === "category" && { width: isNarrow ? 90 : 160, overflow: "truncate" }),
      ...one.axisLabel,
    },
  });
  return {
    animation: false,
    textStyle: { color: text, fontFamily: "system-ui, sans-serif" },
    grid: GRID,
    ...given,
    ...(given.legend && isNarrow && { grid: { ...GRID, top: 64 } }),
    ...(given.legend && {
      legend: {
        top: 0,
        icon: "roundRect",
        itemWidth: 18,
        itemHeight: 5,
        left: 0,
        itemGap: 16,
        textStyle: { color: text },
        inactiveColor: soft,
        ...given.legend,
      },
    }),
    ...(given.tooltip && {
      tooltip: {
        renderMode: "richText",
        backgroundColor: card,
        borderColor: line,
        textStyle: { color: text, fontSize: 12 },
        confine: true,
        ...given.tooltip,
      },
    }),
    ...(given.xAxis && { xAxis: axis(given.xAxis) }),
    ...(given.yAxis && { yAxis: axis(given.yAxis) }),
  };
}

/** A line whose last stretch, which is still being filled, is dashed. Points are [x, y]; y may be null. */
export function lineSeries(name, points, color, more = {}) {
  const { lineStyle, ...rest } = more;
  const base = { name, type: "line", symbol: "none", connectNulls: true, itemStyle: { color }, ...rest };
  const solid = points.slice(0, -1);
  const before = solid.findLast(([, y]) => y !== null);
  const open = before && points.length > 1 ? [before, points.at(-1)] : points.slice(-1);
  const width = lineStyle?.width ?? 2.5;
  return [
    { ...base, data: solid, lineStyle: { color, width, ...lineStyle } },
    {
      ...base,
      data: open,
      lineStyle: { color, width, ...lineStyle, type: [4, 4] },
      tooltip: { show: false },
    },
  ];
}

/** Time since the start, at the foot of a chart of buckets. */
export const timeAxis = (bucketMs, length) => ({
  type: "value",
  min: 0,
  max: Math.max(10, length) * bucketMs,
  axisLabel: { formatter: sinceStart },
  splitLine: { show: false },
});
