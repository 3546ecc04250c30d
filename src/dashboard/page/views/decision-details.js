import { count, duration, fixed, nextUse, NONE, percent } from "../format.js";

const STATUS_WORDS = {
  pending: "not answered yet",
  observed: "decided, not sent: cacheHints is off",
  binding: "a verdict: it holds at once",
  recorded: "decided, not sent: this is a recording",
};

/** Why prefix-cache does it: its hints are many, so that they say it by their numbers. */
const PREFIX_CACHE = {
  // The value is r/(1+r) of the rate of uses per step.
  retain: ({ value }) => `next use: ${nextUse(value > 0 ? (1 - value) / value : null)}`,
  prefetch: ({ probability }) => `comes next with ${percent(probability, 0)}`,
  release: () => "no use of it is expected any more",
  cancel: () => "not among the probable next agents any more",
};

/** Why it was decided, or what the engine or another decision had to say to it. */
export function reasonOf(row) {
  const own = row.policy === "prefix-cache" ? PREFIX_CACHE[row.verb]?.(row) : undefined;
  return row.reason ?? own ?? (row.probability === null ? NONE : PREFIX_CACHE.prefetch(row));
}

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
  ["Reason", reasonOf(row)],
  ["Tokens done", count(row.outcomeTokens)],
  ["What came", cameAfter(row)],
];
