import { card, dataTable, facts, grid, h, id, number, setText, words } from "../elements.js";
import { count, duration, fixed, shortId } from "../format.js";
import { cameAfter, details, reasonOf } from "./decision-details.js";

/** A choice among what has been seen, which grows. */
function choice(name) {
  const element = h("select", { name }, h("option", { value: "", text: "all" }));
  const known = new Set();
  return {
    element,
    update(options) {
      for (const one of options)
        if (!known.has(one)) {
          known.add(one);
          element.append(h("option", { value: one, text: one }));
        }
    },
  };
}

export default {
  title: "Decisions",
  lead: "What the policies wanted and why, the newest first, and what became of it.",
  create({ ask }) {
    let chosen;
    let latest;
    const [byVerb, byStatus, byPolicy] = ["verb", "status", "policy"].map(choice);
    const form = h(
      "form",
      { class: "filter", role: "search", "aria-label": "Filter decisions" },
      h("label", { text: "Verb" }, byVerb.element),
      h("label", { text: "Outcome" }, byStatus.element),
      h("label", { text: "Policy" }, byPolicy.element),
      h("label", { text: "Agent or run" }, h("input", { name: "text", type: "search", autocomplete: "off" })),
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", ask);
    const found = h("p", { class: "note" });
    const choose = (row) => {
      chosen = row;
      show();
    };
    const table = dataTable(
      "Decisions",
      [
        number("no.", (row) => ({
          text: count(row.id),
          onclick: () => choose(row),
          pressed: chosen?.id === row.id,
          label: `Details of decision ${row.id}`,
        })),
        number("ago", ({ at }) => duration(latest.now - at)),
        words("policy", (row) => row.policy),
        words("verb", ({ verb }) => verb),
        words("agent", ({ agent, of }) => (of === "prompt" ? agent : `${agent} (${of})`)),
        id("run", ({ run }) => shortId(String(run ?? ""))),
        number("score", ({ value }) => fixed(value)),
        words("outcome", ({ status }) => ({ text: status, status })),
        words("reason", reasonOf),
        words("what came", cameAfter),
      ],
      { empty: "No decision matches.", long: true },
    );
    const counts = dataTable("All decisions still known", [
      words("verb", ({ verb }) => verb),
      words("outcome", ({ status }) => ({ text: status, status })),
      number("count", (row) => count(row.count)),
    ]);
    const detail = facts();
    const detailCard = card("third", h("h2", { text: "Details" }), detail.element);
    const show = () => {
      detail.update(chosen ? details(chosen, latest.now) : [["", "Choose a decision by its number."]]);
      table.update(latest.rows);
    };
    return {
      query: () => Object.fromEntries(new FormData(form)),
      elements: [grid(card("", form, table.element, found), detailCard, card("two-thirds", counts.element))],
      update(data) {
        byVerb.update(data.counts.map((one) => one.verb));
        byStatus.update(data.counts.map((one) => one.status));
        byPolicy.update(data.policies);
        counts.update(data.counts.toSorted((a, b) => b.count - a.count));
        setText(
          found,
          `${count(data.matching)} of the ${count(data.held)} newest decisions match; ${count(data.recorded)} were made. The list holds still while a row has the focus.`,
        );
        chosen = data.rows.find((row) => row.id === chosen?.id) ?? chosen;
        const isHeld = latest && table.element.querySelector("tbody").contains(document.activeElement);
        latest = isHeld ? { ...data, rows: latest.rows } : data;
        show();
      },
    };
  },
};
