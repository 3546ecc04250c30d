import { timelineChart } from "../charts/timeline.js";
import { card, dataTable, facts, grid, h, id, number, words } from "../elements.js";
import { count, duration, NONE, percent, shortId } from "../format.js";

const took = ({ startedAt, endedAt }, now) => (endedAt ?? now) - startedAt;

export default {
  title: "Runs",
  lead: "The newest runs, and one of them call by call: when it was sent, when its first token came, and how much of its prompt was cached.",
  create({ ask }) {
    let chosen = "";
    let latest;
    const timeline = timelineChart();
    const about = facts();
    const choose = (run) => {
      chosen = chosen === run ? "" : run;
      ask();
    };
    const table = dataTable(
      "Newest runs",
      [
        id("run", ({ run }) => ({
          text: shortId(run),
          onclick: () => choose(run),
          pressed: latest.shown?.run === run,
          label: `Show run ${run}`,
        })),
        words("status", ({ status }) => ({ text: status, status })),
        number("calls", ({ calls }) => count(calls)),
        words("cached", ({ cachedShare }) => ({ text: percent(cachedShare, 0), bar: cachedShare ?? 0 })),
        number("took", (run) => duration(took(run, latest.now))),
        words("graph", ({ graph }) => graph ?? NONE),
        id("session", ({ session }) => shortId(session)),
      ],
      { empty: "No run has begun. Is the graph instrumented, or the handler among its callbacks?" },
    );
    const runCard = card("", h("h2", { text: "Run" }), about.element);
    const timelineCard = card("", timeline.element);
    return {
      query: () => ({ run: chosen }),
      elements: [grid(timelineCard, runCard, card("", table.element))],
      update(data) {
        latest = data;
        const { shown } = data;
        timelineCard.hidden = runCard.hidden = !shown;
        if (shown) {
          timeline.update(data);
          about.update([
            ["Run", shown.run],
            ["Session", shown.session ?? NONE],
            ["Graph", shown.graph ?? NONE],
            ["Status", shown.status],
            ["Took", duration(took(shown, data.now))],
            ["Model calls", count(shown.calls)],
            ["Cached", percent(shown.cachedShare)],
            ["Prefetches decided", count(shown.prefetches.length)],
            ["Shown because", chosen === shown.run ? "you chose it" : "it is the newest with some calls"],
          ]);
        }
        table.update(data.runs);
      },
    };
  },
};
