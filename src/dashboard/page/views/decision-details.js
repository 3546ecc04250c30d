import { count, duration, fixed, NONE, percent } from "../format.js";

const STATUS_WORDS = {
  pending: "not answered yet",
  observed: "decided, not sent: cacheHints is off",
  binding: "a verdict: it holds at once",
  recorded: "decided, not sent: this is a recording",
};

/** What the run did next, after a prefetch. */
export function cameAfter({ came }) {
  if (!came) return NONE;
  if (came.agent === null) return "the run ended";
  const share = came.cachedShare === null ? "" : `, ${percent(came.cachedShare, 0)} cached`;
  return came.isIt ? `came after ${duration(came.afterMs)}${share}` : `${came.agent} came instead`;
}

/** Everything that is known of a decision, by name. */
export const details = (row, now) => [
  ["Number", count(row.id)],
  ["Decided", `${duration(now - row.at)} ago`],
  ["Policy", row.policy],
  ["Verb", row.verb],
  ["About", `${row.of} of ${row.agent}`],
  ["Run", String(row.run ?? NONE)],
  ["Value", fixed(row.value, 3)],
  [
    "Value later",
    row.later
      ? row.later.map(([ms, value]) => `${fixed(value, 2)} after ${duration(ms)}`).join(", ")
      : "the same",
  ],
  ["Probability", percent(row.probability)],
  ["Tokens", count(row.tokens)],
  ["Not before", duration(row.afterMs)],
  ["Kept for", row.ttlMs === null ? "until the next word" : duration(row.ttlMs)],
  ["Outcome", STATUS_WORDS[row.status] ?? row.status],
  ["Reason", row.reason ?? NONE],
  ["Tokens done", count(row.outcomeTokens)],
  ["What came", cameAfter(row)],
];
