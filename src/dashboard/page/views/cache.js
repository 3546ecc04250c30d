import { chart, lineSeries, timeAxis } from "../chart.js";
import { card, dataTable, grid, id, number, tile, tiles, words } from "../elements.js";
import { compact, count, duration, fixed, nextUse, NONE, percent, shortId, sinceStart } from "../format.js";

function occupancyOption({ occupancy, bucketMs }, colors) {
  const points = occupancy.map((one, index) => [(index + 1) * bucketMs, one === null ? null : 100 * one]);
  return {
    grid: { left: 8, right: 16, top: 12, bottom: 8, outerBoundsMode: "same" },
    tooltip: {
      trigger: "axis",
      valueFormatter: (value) => (Number.isFinite(value) ? `${value.toFixed(1)} %` : NONE),
    },
    xAxis: timeAxis(bucketMs, occupancy.length),
    yAxis: { type: "value", min: 0, max: 100, axisLabel: { formatter: "{value} %" } },
    series: lineSeries("in use", points, colors.second, {
      areaStyle: { color: colors.second, opacity: 0.1 },
    }),
  };
}

const expectedUse = ({ expectedSteps, soonestMs }) =>
  expectedSteps !== null && expectedSteps <= 100 && soonestMs > 50
    ? `${nextUse(expectedSteps)}, not within ${duration(soonestMs)}`
    : nextUse(expectedSteps);

const keptUntil = ({ told }, now) => {
  if (!told) return "nothing told";
  if (told.verb === "release") return "released";
  if (told.until === null) return told.verb === "retain" ? "the next word" : told.verb;
  return told.until > now ? `${duration(told.until - now)} more` : "run out";
};

export default {
  title: "Cache",
  lead: "The prefixes that may be asked for again: what each is worth now, and what the engine was last told about it.",
  create() {
    let now = 0;
    const open = tile("Open runs");
    const live = tile("Tokens of their prompts");
    const used = tile("KV cache in use");
    const occupancy = chart("Occupancy of the KV cache", {
      build: occupancyOption,
      size: "low",
      columns: [words("until", ({ until }) => until), number("in use", ({ share }) => percent(share))],
    });
    const columns = [
      number("tokens", ({ tokens }) => count(tokens)),
      words("value", ({ value }) => ({ text: fixed(value), bar: value })),
      words("expected next use", expectedUse),
      number("last told", ({ told }) => (told?.value === null || !told ? NONE : fixed(told.value))),
      words("kept until", (row) => keptUntil(row, now)),
      number("last used", ({ usedMsAgo }) => `${duration(usedMsAgo)} ago`),
    ];
    const prefixes = dataTable(
      "Prompts of open runs, the most valuable first",
      [
        words("agent", ({ agent, branch }) => (branch === null ? agent : `${agent}, prompt ${branch + 1}`)),
        id("run", ({ run }) => shortId(run)),
        ...columns,
      ],
      { empty: "No open run has called a model.", long: true },
    );
    const anchors = dataTable(
      "Anchors (system message and tools), which all runs of an agent share",
      [words("agent", ({ agent }) => agent), ...columns],
      { empty: "No agent has called a model yet." },
    );
    const tiers = dataTable(
      "What the engine says is where, by its cache events",
      [
        words("cache", ({ cache }) => cache),
        words("tier", ({ medium }) => medium),
        number("blocks", ({ blocks, isComplete }) => `${isComplete ? "" : "at least "}${count(blocks)}`),
        number("tokens", ({ tokens }) => count(tokens)),
      ],
      { empty: "No cache events: see Engines." },
    );
    return {
      elements: [
        tiles(open, live, used),
        grid(
          card("", occupancy.element),
          card("", tiers.element),
          card("", anchors.element),
          card("", prefixes.element),
        ),
      ],
      update(data) {
        ({ now } = data);
        const { residentTokens, capacityTokens, bucketMs } = data;
        const sum = data.prefixes.reduce((total, { tokens }) => total + tokens, 0);
        const isPart = data.shownRuns < data.openRuns;
        open.update(
          count(data.openRuns),
          isPart ? `the newest ${count(data.shownRuns)} are shown` : "all are shown",
        );
        live.update(
          compact(sum),
          `in ${count(data.prefixes.length)} prefixes, what they share counted again`,
        );
        const isKnown = residentTokens !== null && capacityTokens !== null;
        used.update(
          isKnown ? percent(residentTokens / capacityTokens, 0) : NONE,
          isKnown
            ? `${compact(residentTokens)} of ${compact(capacityTokens)} tokens`
            : "the engine does not tell",
        );
        const rows = data.occupancy.map((share, index) => ({
          share,
          until: sinceStart((index + 1) * bucketMs),
        }));
        const isTold = data.occupancy.some((one) => one !== null);
        occupancy.update(
          data,
          isTold ? rows : [],
          isKnown ? `${percent(residentTokens / capacityTokens, 0)} in use.` : "Not known.",
          isTold ? "" : "The engine does not tell what its cache holds.",
        );
        prefixes.update(data.prefixes);
        anchors.update(data.anchors);
        tiers.update(data.tiers);
      },
    };
  },
};
