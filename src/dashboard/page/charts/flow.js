import { AGENT_COLORS, chart } from "../chart.js";
import { number, words } from "../elements.js";
import { count, NONE, percent } from "../format.js";

/** ECharts keeps names as keys of plain objects, where `__proto__` is none; a space of no width makes it one. */
const NAMES = new Map([
  ["__start__", "start"],
  ["__end__", "end"],
  ["__proto__", "\u200B__proto__"],
]);
export const nameOf = (agent) => NAMES.get(agent) ?? agent;

/** Share of the transitions from an agent that went where this one did. */
export function withShares(transitions) {
  const totals = new Map();
  for (const { from, count: times } of transitions) totals.set(from, (totals.get(from) ?? 0) + times);
  return transitions.map((one) => ({
    ...one,
    happened: totals.get(one.from) > 0 ? one.count / totals.get(one.from) : null,
  }));
}

function build({ agents, transitions, graphs }, colors) {
  const known = [...new Set(transitions.flatMap(({ from, to }) => [from, to]))];
  const calls = new Map(agents.map((one) => [one.agent, one.calls]));
  const most = Math.max(1, ...calls.values());
  return {
    tooltip: {},
    series: [
      {
        type: "graph",
        layout: "circular",
        left: 70,
        right: 70,
        top: 24,
        bottom: 48,
        edgeSymbol: ["none", "arrow"],
        edgeSymbolSize: 8,
        label: {
          show: true,
          position: "bottom",
          width: 130,
          overflow: "truncate",
          color: colors.text,
          textBorderColor: colors.card,
          textBorderWidth: 3,
        },
        data: known.map((agent) => ({
          name: nameOf(agent),
          tooltip: { formatter: `${nameOf(agent)}\n${count(calls.get(agent) ?? 0)} model calls` },
          symbolSize: 14 + 22 * Math.sqrt((calls.get(agent) ?? 0) / most),
          itemStyle: {
            color: NAMES.has(agent)
              ? colors.soft
              : AGENT_COLORS[agents.findIndex((one) => one.agent === agent) % AGENT_COLORS.length],
          },
        })),
        links: transitions
          .filter(({ from, to }) => from !== to)
          .map(({ from, to, said, happened, declared }) => {
            const weight = said ?? happened ?? 0;
            return {
              source: nameOf(from),
              target: nameOf(to),
              value: weight,
              tooltip: {
                formatter: `${nameOf(from)} → ${nameOf(to)}\npredicted ${percent(said)}, happened ${percent(happened)}`,
              },
              lineStyle: {
                color: weight > 0 ? colors.ours : colors.soft,
                width: 1 + 6 * weight,
                opacity: 0.25 + 0.7 * weight,
                curveness: 0.18,
                type: graphs.length > 0 && declared === null ? [3, 3] : "solid",
              },
            };
          }),
      },
    ],
  };
}

/** The graph as it was declared, with what has been learned of it. */
export function flowChart() {
  const drawn = chart("Who follows whom", {
    build,
    size: "tall",
    columns: [
      words("from", ({ from }) => nameOf(from)),
      words("to", ({ to }) => nameOf(to)),
      number("declared", ({ declared }) => (declared === null ? NONE : percent(declared, 0))),
      number("predicted, mean", ({ said }) => percent(said)),
      number("happened", ({ happened }) => percent(happened)),
      number("times", (row) => count(row.count)),
    ],
  });
  return {
    element: drawn.element,
    update(data, transitions) {
      const [likeliest] = transitions.toSorted((a, b) => b.count - a.count);
      const said = likeliest
        ? `Most frequent: ${nameOf(likeliest.from)} to ${nameOf(likeliest.to)}, ${count(likeliest.count)} times.`
        : "Nothing yet.";
      drawn.update(
        { ...data, transitions },
        transitions,
        said,
        `Width: mean probability that was predicted. ${data.graphs.length > 0 ? "Dashed: not declared in the graph. " : ""}Size: model calls.`,
      );
    },
  };
}
