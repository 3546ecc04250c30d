import { card, dataTable, facts, grid, h, number, tile, tiles, words } from "../elements.js";
import { compact, count, duration, NONE, percent } from "../format.js";

const STATES = { up: "up", down: "does not answer", unknown: "not known yet" };

function health({ health: of, now, kind }) {
  if (kind === "recording") return [["State", "a recording has no engine"]];
  return [
    ["State", STATES[of.state]],
    ["Told by", of.canBeAsked ? "asking it each second" : "its answers to requests: this adapter cannot ask"],
    ["Last answer", of.answeredAt === null ? NONE : `${duration(now - of.answeredAt)} ago`],
    ["Took", duration(of.answerMs)],
    ...(of.downSince === null
      ? []
      : [
          ["Down for", duration(now - of.downSince)],
          ["Failure", of.failure],
        ]),
  ];
}

function eventFacts({ events: of, now }) {
  if (of.state === "unoffered")
    return [["Cache events", "this adapter offers none, so neither lag nor gaps are known"]];
  const { lost, restart, unreadable } = of.gaps;
  return [
    ["Stream", of.state === "open" ? "open" : "has ended; open the dashboard anew to read on"],
    ["Latest event", of.latestAt === null ? "none yet" : `${duration(now - of.latestAt)} ago`],
    ["Events", count(of.events)],
    ["Blocks stored", count(of.storedBlocks)],
    ["Blocks removed", count(of.removedBlocks)],
    ["Caches cleared", count(of.clearings)],
    ["Gaps", `${count(lost)} lost, ${count(restart)} restarts, ${count(unreadable)} unreadable`],
    ["Batches missing for good", count(of.missed)],
  ];
}

export default {
  title: "Engines",
  lead: "What the serving engine is, which verbs it carries out itself, and how it is.",
  create() {
    const state = tile("State");
    const running = tile("Requests running");
    const used = tile("KV cache in use");
    const fetched = tile("Tokens computed ahead");
    const about = facts();
    const condition = facts();
    const stream = facts();
    const verbs = dataTable("Verbs", [
      words("verb", ({ verb }) => verb),
      words("support", ({ support }) => support ?? "none: such hints are ignored"),
      number("applied", ({ counts }) => count(counts.applied ?? 0)),
      number("ignored", ({ counts }) => count(counts.ignored ?? 0)),
      number("failed", ({ counts }) => count((counts.failed ?? 0) + (counts.rejected ?? 0))),
      number("cancelled", ({ counts }) => count(counts.cancelled ?? 0)),
    ]);
    return {
      elements: [
        tiles(state, running, used, fetched),
        grid(
          card("third", h("h2", { text: "Engine" }), about.element),
          card("third", h("h2", { text: "Health" }), condition.element),
          card("third", h("h2", { text: "Cache events" }), stream.element),
          card("", verbs.element),
        ),
      ],
      update(data) {
        const { status, health: of } = data;
        const tone = of.state === "down" ? "bad" : of.state === "up" ? "good" : "";
        state.update(data.kind === "recording" ? "recording" : STATES[of.state], of.failure ?? "", tone);
        running.update(count(status?.running), status ? `${count(status.waiting)} waiting` : "not told");
        const { capacityTokens = null, residentTokens = null, prefetch = null } = status ?? {};
        used.update(
          capacityTokens && residentTokens !== null ? percent(residentTokens / capacityTokens, 0) : NONE,
          capacityTokens ? `${compact(residentTokens)} of ${compact(capacityTokens)} tokens` : "not told",
        );
        fetched.update(
          compact(prefetch?.computed),
          prefetch ? `${compact(prefetch.used)} used, ${compact(prefetch.wasted)} wasted` : "not told",
        );
        about.update([
          ["Engine", data.name],
          ["Version", data.version ?? "not told"],
          ["Models", data.models.join(", ") || NONE],
          ["Address", data.address ?? NONE],
          ["Tokens of a block", data.blockTokens === null ? "not told" : count(data.blockTokens)],
          ["Hints", data.cacheHints ? "sent" : "not sent"],
        ]);
        condition.update(health(data));
        stream.update(eventFacts(data));
        verbs.update(
          data.verbs.map((one) => ({
            ...one,
            counts: Object.fromEntries(
              Object.entries(data.hints)
                .filter(([key]) => key.startsWith(`${one.verb} `))
                .map(([key, value]) => [key.split(" ")[1], value]),
            ),
          })),
        );
      },
    };
  },
};
