import { card, dataTable, facts, grid, h, number, setText, tile, tiles, words } from "../elements.js";
import { count, micros, NONE } from "../format.js";

const optionText = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** One policy: what it is, its options, what its hooks cost. */
function policyCard({ name, description }) {
  const about = facts();
  const hooks = dataTable(
    `Hooks of ${name}, timed since the dashboard began`,
    [
      words("hook", ({ hook }) => hook),
      number("calls", ({ calls }) => count(calls)),
      number("mean", ({ meanUs }) => micros(meanUs)),
      number("longest", ({ longestUs, calls }) => (calls > 0 ? micros(longestUs) : NONE)),
    ],
    { empty: "It has no hook." },
  );
  const faults = h("p", { class: "note" });
  return {
    element: card(
      "half",
      h("h2", { text: name }),
      h("p", { class: "lead", text: description }),
      about.element,
      h("br"),
      hooks.element,
      faults,
    ),
    update(policy) {
      about.update([
        ["State", policy.isLeftOut ? "left out: it failed 20 times in a row" : "on"],
        ["Decisions still known", count(policy.decisions)],
        ...Object.entries(policy.options).map(([option, value]) => [option, optionText(value)]),
      ]);
      hooks.update(policy.hooks);
      const sum = policy.faults.reduce((total, one) => total + one.count, 0);
      setText(
        faults,
        sum === 0
          ? "No fault."
          : `${count(sum)} faults: ${policy.faults.map(({ kind }) => kind).join("; ")}.${policy.isLeftOut ? "" : " After 20 in a row a policy is left out, unless it fails closed."}`,
      );
      faults.className = sum === 0 ? "note" : "note bad";
    },
  };
}

export default {
  title: "Policies",
  lead: "Which policies are at work, with which options, what each hook costs, and whether they fail.",
  create() {
    const p50 = tile("Decision, p50");
    const p95 = tile("Decision, p95");
    const p99 = tile("Decision, p99");
    const on = tile("Policies");
    const cards = new Map();
    const all = grid();
    const off = h("p", { class: "note" });
    return {
      elements: [tiles(on, p50, p95, p99), all, off],
      update({ policies, decision, cacheHints, kind, off: left }) {
        on.update(
          count(policies.filter(({ isLeftOut }) => !isLeftOut).length),
          kind === "recording"
            ? "a recording: nothing is sent"
            : cacheHints
              ? "their hints are sent"
              : "cacheHints is off: nothing is sent",
        );
        const below = decision ? `newest ${count(decision.count)}` : "none yet";
        p50.update(micros(decision?.p50), below);
        p95.update(micros(decision?.p95), below);
        p99.update(micros(decision?.p99), below);
        for (const policy of policies) {
          if (!cards.has(policy.name)) {
            cards.set(policy.name, policyCard(policy));
            all.append(cards.get(policy.name).element);
          }
          cards.get(policy.name).update(policy);
        }
        setText(off, left.length === 0 ? "No policy is switched off." : `Switched off: ${left.join(", ")}.`);
      },
    };
  },
};
