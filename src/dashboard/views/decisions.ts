import { isVerdict } from "../../runtime/action.ts";
import type { LedgerEntry } from "../../runtime/ledger.ts";
import type { Observed } from "../observed.ts";
import { plainReason } from "../plain-reason.ts";

const MAX_ROWS = 100;

/** What to look for; absent or empty: everything. */
export interface DecisionFilter {
  readonly verb?: string | undefined;
  readonly policy?: string | undefined;
  readonly status?: string | undefined;
  /** Part of an agent's name or of a run's id. */
  readonly text?: string | undefined;
}

/** The newest decisions of the ledger that a filter lets through, and counts of all that it holds. */
export function decisions(observed: Observed, filter: DecisionFilter) {
  const { ledger } = observed.source;
  const counts = new Map<string, number>();
  const policies = new Set<string>();
  const rows: ReturnType<typeof toRow>[] = [];
  let held = 0;
  let matching = 0;
  for (const entry of ledger) {
    held++;
    policies.add(entry.policy);
    const key = `${entry.action.type} ${statusOf(observed, entry)}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    if (!isWanted(observed, entry, filter)) continue;
    matching++;
    if (rows.length < MAX_ROWS) rows.push(toRow(observed, entry));
  }
  return {
    now: observed.source.clock.now(),
    recorded: ledger.count,
    held,
    matching,
    policies: [...policies],
    counts: [...counts].map(([key, count]) => {
      const [verb, status] = key.split(" ");
      return { verb, status, count };
    }),
    rows,
  };
}

function isWanted(observed: Observed, entry: LedgerEntry, filter: DecisionFilter): boolean {
  const { verb, policy, status, text } = filter;
  if (verb && entry.action.type !== verb) return false;
  if (policy && entry.policy !== policy) return false;
  if (status && statusOf(observed, entry) !== status) return false;
  if (!text) return true;
  return aboutOf(entry).agent.includes(text) || String(entry.run).includes(text);
}

/** What a decision is about: a prefix, or a call that waits for it. */
function aboutOf({ action }: LedgerEntry) {
  if (isVerdict(action)) return { agent: action.call.agent, of: action.call.kind };
  const { agent, run } = action.prefix;
  return { agent, of: run === undefined ? "anchor" : "prompt" };
}

/** Where nothing is sent, nothing is waited for either. */
function statusOf({ source }: Observed, { action, outcome }: LedgerEntry): string {
  if (outcome) return outcome.status;
  if (isVerdict(action)) return "binding";
  if (source.kind === "recording") return "recorded";
  return source.cacheHints ? "pending" : "observed";
}

/** Fields of a decision, each by name: a prefetch carries a request body, a verdict an answer, neither of which ever leaves. */
function toRow(observed: Observed, entry: LedgerEntry) {
  const { id, at, policy, run, action, outcome } = entry;
  const { agent, of } = aboutOf(entry);
  const reason = outcome?.reason ?? ("reason" in action ? action.reason : undefined);
  return {
    id,
    at,
    policy,
    run,
    verb: action.type,
    agent,
    of,
    value: "value" in action ? action.value : null,
    later:
      "later" in action && action.later ? action.later.map(([afterMs, value]) => [afterMs, value]) : null,
    probability: "probability" in action ? action.probability : null,
    tokens: "tokens" in action ? action.tokens : null,
    afterMs: "afterMs" in action ? (action.afterMs ?? null) : null,
    ttlMs: "ttlMs" in action ? (action.ttlMs ?? null) : null,
    status: statusOf(observed, entry),
    reason: reason === undefined ? null : plainReason(reason),
    outcomeTokens: outcome && "tokens" in outcome ? (outcome.tokens ?? null) : null,
    came: action.type === "prefetch" ? whatCame(observed, entry, agent) : null,
  };
}

/** The next call that the run made after a prefetch, if it is still known. */
function whatCame({ runs }: Observed, { run, at }: LedgerEntry, agent: string) {
  const timeline = runs.get(run);
  const next = timeline?.steps.find(({ startedAt }) => startedAt > at);
  if (!next) return timeline?.endedAt === undefined ? null : { agent: null, isIt: false };
  const { promptTokens, cachedTokens, startedAt } = next;
  return {
    agent: next.agent,
    isIt: next.agent === agent,
    afterMs: startedAt - at,
    cachedShare: promptTokens && cachedTokens !== undefined ? cachedTokens / promptTokens : null,
  };
}
