import { AGENT_COLORS, chart } from "../chart.js";
import { number, words } from "../elements.js";
import { count, duration, percent, sinceStart } from "../format.js";

const cachedShare = ({ promptTokens, cachedTokens }) =>
  promptTokens > 0 && cachedTokens !== null ? cachedTokens / promptTokens : null;

/** A bar from its start to its end; filled from below as far as its prompt was cached, with a mark at the first token. */
function bar(params, api) {
  const [row, start, end, first, share] = [0, 1, 2, 3, 4].map((place) => api.value(place));
  const [left, middle] = api.coord([start, row]);
  const [right] = api.coord([end, row]);
  const height = Math.min(26, api.size([0, 1])[1] * 0.62);
  const width = Math.max(3, right - left);
  const top = middle - height / 2;
  const color = api.visual("color");
  const part = Number.isFinite(share) ? share : 0;
  const rect = (y, tall, opacity) => ({
    type: "rect",
    shape: { x: left, y, width, height: tall, r: 3 },
    style: { fill: color, opacity },
  });
  const mark = api.coord([first, row])[0];
  return {
    type: "group",
    children: [
      rect(top, height, 0.3),
      rect(top + height * (1 - part), height * part, 1),
      ...(Number.isFinite(first)
        ? [
            {
              type: "line",
              shape: { x1: mark, x2: mark, y1: top - 3, y2: top + height + 3 },
              style: { stroke: api.style().stroke ?? "#000", lineWidth: 2 },
            },
          ]
        : []),
    ],
  };
}

function build({ shown, now }, colors) {
  const agents = [...new Set([...shown.steps, ...shown.prefetches].map(({ agent }) => agent))];
  const from = shown.startedAt;
  const until = (one) => (one.endedAt ?? now) - from;
  const length = Math.max(1, until(shown));
  const color = (agent) => AGENT_COLORS[agents.indexOf(agent) % AGENT_COLORS.length];
  return {
    grid: { left: 8, right: 24, top: 12, bottom: 8, outerBoundsMode: "same" },
    tooltip: {},
    xAxis: {
      type: "value",
      min: 0,
      max: length,
      axisLabel: { formatter: length < 10_000 ? duration : sinceStart },
    },
    yAxis: {
      type: "category",
      data: agents,
      inverse: true,
      splitLine: { show: true, lineStyle: { color: colors.line } },
    },
    series: [
      {
        type: "custom",
        renderItem: (_, api) => {
          const [row, start, end] = [0, 1, 2].map((place) => api.value(place));
          const [left, middle] = api.coord([start, row]);
          const width = Math.max(2, api.coord([end, row])[0] - left);
          return {
            type: "rect",
            shape: { x: left, y: middle - 2, width, height: 4, r: 2 },
            style: { fill: colors.soft, opacity: 0.45 },
          };
        },
        data: shown.tools
          .filter(({ agent }) => agents.includes(agent))
          .map((one) => ({
            value: [agents.indexOf(one.agent), one.startedAt - from, until(one)],
            tooltip: { formatter: `tool ${one.tool}\n${duration(until(one) - one.startedAt + from)}` },
          })),
      },
      {
        type: "custom",
        renderItem: bar,
        encode: { x: [1, 2], y: 0 },
        data: shown.steps.map((step) => ({
          value: [
            agents.indexOf(step.agent),
            step.startedAt - from,
            until(step),
            step.firstTokenAt === null ? Number.NaN : step.firstTokenAt - from,
            cachedShare(step) ?? Number.NaN,
          ],
          itemStyle: { color: color(step.agent), borderColor: colors.text },
          tooltip: {
            formatter: `${step.agent}\n${duration(until(step) - step.startedAt + from)}, ${percent(cachedShare(step), 0)} of ${count(step.promptTokens)} tokens cached`,
          },
        })),
      },
      {
        type: "scatter",
        symbol: "triangle",
        symbolSize: 11,
        data: shown.prefetches.map(({ at, agent, probability, tokens, status }) => ({
          value: [at - from, agents.indexOf(agent)],
          itemStyle:
            status === "applied"
              ? { color: colors.second }
              : { color: "transparent", borderColor: colors.second, borderWidth: 1.5 },
          tooltip: {
            formatter: `prefetch for ${agent}: ${status ?? "not sent"}\n${percent(probability, 0)}, ${count(tokens)} tokens`,
          },
        })),
      },
    ],
  };
}

/** One run, call by call. */
export function timelineChart() {
  const drawn = chart("Timeline of the run", {
    build,
    size: "tall",
    tableTitle: "Model calls of the run",
    columns: [
      words("agent", ({ agent }) => agent),
      number("began", ({ began }) => duration(began)),
      number("first token", ({ firstToken }) => duration(firstToken)),
      number("took", ({ took }) => duration(took)),
      number("prompt tokens", ({ promptTokens }) => count(promptTokens)),
      number("cached", (row) => percent(cachedShare(row), 0)),
      words("status", ({ status }) => ({ text: status ?? "under way", status: status ?? "open" })),
    ],
  });
  return {
    element: drawn.element,
    update(data) {
      const { shown } = data;
      const rows = shown.steps.map((step) => ({
        ...step,
        began: step.startedAt - shown.startedAt,
        firstToken: step.firstTokenAt === null ? null : step.firstTokenAt - step.startedAt,
        took: step.endedAt === null ? null : step.endedAt - step.startedAt,
      }));
      drawn.update(
        data,
        rows,
        `${count(shown.calls)} model calls, ${percent(shown.cachedShare, 0)} of their prompts cached.`,
        "Filled: share of the prompt that was cached. Line across: first token. Thin: tools. Triangle: a prefetch for that agent was decided; filled when the engine did it.",
      );
    },
  };
}
