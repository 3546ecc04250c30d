import { chart } from "../chart.js";
import { flowChart, nameOf, withShares } from "../charts/flow.js";
import { card, dataTable, grid, number, tile, tiles, words } from "../elements.js";
import { count, fixed, NONE, percent } from "../format.js";

function heatOption({ transitions }, colors) {
  const from = [...new Set(transitions.map((one) => nameOf(one.from)))];
  const to = [...new Set(transitions.map((one) => nameOf(one.to)))];
  return {
    grid: { left: 8, right: 12, top: 8, bottom: 8, outerBoundsMode: "same" },
    tooltip: { formatter: ({ value: [x, y, share] }) => `${from[y]} → ${to[x]}: ${share} %` },
    xAxis: { type: "category", data: to, axisLabel: { rotate: 35, hideOverlap: false } },
    yAxis: { type: "category", data: from, inverse: true },
    visualMap: { show: false, min: 0, max: 100, inRange: { color: [colors.heat0, colors.heat1] } },
    series: [
      {
        type: "heatmap",
        data: transitions
          .filter(({ happened }) => happened !== null)
          .map((one) => [
            to.indexOf(nameOf(one.to)),
            from.indexOf(nameOf(one.from)),
            Math.round(100 * one.happened),
          ]),
        itemStyle: { borderColor: colors.card, borderWidth: 2, borderRadius: 4 },
        label: { show: to.length <= 12, formatter: ({ value }) => (value[2] > 0 ? String(value[2]) : "") },
      },
    ],
  };
}

function calibrationOption(bins, colors) {
  const most = Math.max(1, ...bins.map(({ predictions }) => predictions));
  const axis = { type: "value", min: 0, max: 100, axisLabel: { formatter: "{value} %" } };
  return {
    grid: { left: 8, right: 20, top: 16, bottom: 24, outerBoundsMode: "same" },
    tooltip: { formatter: ({ value }) => `said ${value[0].toFixed(1)} %, happened ${value[1].toFixed(1)} %` },
    xAxis: { ...axis, name: "said", nameLocation: "middle", nameGap: 26 },
    yAxis: { ...axis, name: "happened", nameLocation: "middle", nameGap: 44 },
    series: [
      {
        type: "line",
        symbol: "none",
        silent: true,
        data: [
          [0, 0],
          [100, 100],
        ],
        lineStyle: { color: colors.soft, width: 1 },
      },
      {
        type: "line",
        itemStyle: { color: colors.ours },
        lineStyle: { color: colors.ours, width: 2 },
        symbol: "circle",
        symbolSize: ([, , predictions]) => 7 + 16 * Math.sqrt(predictions / most),
        data: bins.map(({ said, happened, predictions }) => [100 * said, 100 * happened, predictions]),
      },
    ],
  };
}

export default {
  title: "Agents",
  lead: "The graph as it was declared, what has been learned about it, and how far what was predicted came true.",
  create() {
    const right = tile("Next agent predicted right");
    const error = tile("Calibration error");
    const known = tile("Agents");
    const flow = flowChart();
    const heat = chart("Transitions that happened", {
      build: heatOption,
      size: "tall",
      columns: [
        words("from", ({ from }) => nameOf(from)),
        words("to", ({ to }) => nameOf(to)),
        number("share", ({ happened }) => percent(happened)),
        number("times", (row) => count(row.count)),
      ],
    });
    const calibration = chart("Calibration: said and happened", {
      build: calibrationOption,
      columns: [
        words("said between", ({ from, to }) => `${percent(from, 0)} and ${percent(to, 0)}`),
        number("said, mean", ({ said }) => percent(said)),
        number("happened", ({ happened }) => percent(happened)),
        number("predictions", ({ predictions }) => count(predictions)),
      ],
    });
    const table = dataTable(
      "Agents",
      [
        words("agent", ({ agent }) => agent),
        number("model calls", ({ calls }) => count(calls)),
        number("anchor tokens", ({ anchorTokens }) => count(anchorTokens)),
        number("history taken over", ({ sharedHistory }) => percent(sharedHistory, 0)),
      ],
      { empty: "No agent has called a model yet. Is the graph instrumented?" },
    );
    return {
      elements: [
        tiles(right, error, known),
        grid(
          card("half", flow.element),
          card("half", heat.element),
          card("half", calibration.element),
          card("half", table.element),
        ),
      ],
      update(data) {
        const { nextAgent, agents } = data;
        const { asked, right: hits, calibrationError } = nextAgent;
        const transitions = withShares(data.transitions);
        right.update(
          asked > 0 ? percent(hits / asked) : NONE,
          `${count(hits)} of ${count(asked)} changes of agent`,
        );
        error.update(
          calibrationError === null ? NONE : fixed(calibrationError, 3),
          "0: what is said with 70 % comes 7 times in 10",
        );
        known.update(
          count(agents.length),
          data.graphs.length > 0 ? `declared in ${data.graphs.join(", ")}` : "no graph declared",
        );
        flow.update(data, transitions);
        const happened = transitions.filter((one) => one.count > 0);
        heat.update(
          { transitions: happened },
          happened,
          `${count(happened.length)} kinds of transition.`,
          "Share of the transitions from the agent on the left, in percent.",
        );
        const bins = data.calibration.filter(({ predictions }) => predictions > 0);
        calibration.update(
          bins,
          bins,
          `Calibration error ${fixed(calibrationError, 3)}.`,
          "On the diagonal, what is said with a probability comes as often. Size: predictions.",
        );
        table.update(agents);
      },
    };
  },
};
