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
  const sum = (value) => of.sources.reduce((total, source) => total + value(source), 0);
  const newest = (value) =>
    Math.max(...of.sources.map((source) => value(source) ?? Number.NEGATIVE_INFINITY));
  const ago = (at, never) => (Number.isFinite(at) ? `${duration(now - at)} ago` : never);
  const lag = newest(({ lagMs }) => lagMs);
  const gaps = (reason) => count(sum((source) => source.gaps[reason]));
  return [
    ["Stream", of.state === "open" ? "open" : of.sources.length > 0 ? "has ended" : "none, or it has ended"],
    [
      "Latest event",
      ago(
        newest(({ latestAt }) => latestAt),
        "none yet",
      ),
    ],
    ["Lag", Number.isFinite(lag) ? duration(lag) : "not told"],
    ["Blocks stored", count(sum(({ storedBlocks }) => storedBlocks))],
    ["Blocks removed", count(sum(({ removedBlocks }) => removedBlocks))],
    ["Caches cleared", count(sum(({ clearings }) => clearings))],
    ["Gaps", `${gaps("lost")} lost, ${gaps("restart")} restarts, ${gaps("unreadable")} unreadable`],
    [
      "Latest gap",
      ago(
        newest(({ gapAt }) => gapAt),
        "none",
      ),
    ],
    ["Batches missing for good", count(sum(({ missed }) => missed))],
  ];
}

const gapsOf = ({ gaps, missed }) => {
  const all = Object.values(gaps).reduce((total, one) => total + one, 0);
  return missed > 0 ? `${count(all)} (${count(missed)} batches)` : count(all);
};

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
    let now = 0;
    const replicas = dataTable(
      "Servers, among which calls are spread",
      [
        words("server", ({ address }) => address ?? NONE),
        words("state", ({ isUp }) =>
          isUp ? { text: "up", status: "applied" } : { text: "does not answer", status: "failed" },
        ),
        number("under way", ({ underWay }) => count(underWay)),
        number("answered", ({ served }) => count(served?.requests)),
        number("prompts cached", ({ served }) =>
          served?.promptTokens ? percent(served.cachedTokens / served.promptTokens, 0) : NONE,
        ),
        number("waiting", ({ waiting }) => count(waiting)),
        number("KV tokens in use", ({ residentTokens, capacityTokens }) =>
          residentTokens === null ? NONE : `${compact(residentTokens)} of ${compact(capacityTokens)}`,
        ),
      ],
      { empty: "One server." },
    );
    const sources = dataTable(
      "Caches, by their events",
      [
        words("event stream", ({ source }) => source),
        words("server", ({ worker }) => worker ?? NONE),
        number(
          "tokens resident",
          ({ residentTokens, isComplete }) => `${isComplete ? "" : "at least "}${count(residentTokens)}`,
        ),
        number("blocks stored", ({ storedBlocks }) => count(storedBlocks)),
        number("removed", ({ removedBlocks }) => count(removedBlocks)),
        number("newest event", ({ latestAt }) => `${duration(now - latestAt)} ago`),
        number("lag", ({ lagMs }) => duration(lagMs)),
        number("gaps", gapsOf),
      ],
      { empty: "No cache events." },
    );
    return {
      elements: [
        tiles(state, running, used, fetched),
        grid(
          card("third", h("h2", { text: "Engine" }), about.element),
          card("third", h("h2", { text: "Health" }), condition.element),
          card("third", h("h2", { text: "Cache events" }), stream.element),
          card("", replicas.element),
          card("", sources.element),
          card("", verbs.element),
        ),
      ],
      update(data) {
        const { status, health: of } = data;
        ({ now } = data);
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
          ["Hints", data.kind === "recording" || !data.cacheHints ? "not sent" : "sent"],
        ]);
        condition.update(health(data));
        stream.update(eventFacts(data));
        replicas.update(data.replicas);
        sources.update(data.events.sources);
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
