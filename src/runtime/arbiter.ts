import type { Advice, Verdict } from "./action.ts";
import { type AheadBudget, type AheadHint, isAhead } from "./ahead-budget.ts";
import type { CallRef } from "./call.ts";
import type { AgentId, RunId } from "./event.ts";

/** Proposals that are compared one by one: faster than to index them, and without garbage. */
const FEW = 64;

/** A hint with the policy that wants it; position in the list is policy order. */
export interface Proposal {
  readonly policy: string;
  readonly action: Advice;
}

export interface Arbitration {
  readonly kept: readonly Proposal[];
  readonly dropped: readonly Dropped[];
}

interface Dropped {
  readonly proposal: Proposal;
  readonly reason: string;
}

/** A verdict with the policy that gives it; position in the list is policy order. */
export interface Judgement {
  readonly policy: string;
  /** Of its priority among those of other policies; default 1. */
  readonly weight?: number;
  readonly verdict: Verdict;
}

export interface Ruling {
  /** Without a policy: nobody objected. */
  readonly kept: { readonly policy?: string; readonly verdict: Verdict };
  /** For the engine, by all policies that admit the call and give one: their weighted mean. */
  readonly priority?: number;
  readonly dropped: readonly { readonly judgement: Judgement; readonly reason: string }[];
}

/**
 * Merges what several policies want into one action per prefix and verb.
 *
 * On one prefix `release` and `evict` give way to `retain` and `pin` of another policy (a hit lost costs more
 * than space kept), `cancel` gives way to `prefetch`, and both to `speculate`, which computes the prefix as well; of two values
 * the higher wins. What is left of `prefetch` and `speculate` shares one budget of tokens, the most probable first. Ties
 * break by policy order.
 */
export function arbitrate(proposals: readonly Proposal[], budget?: AheadBudget): Arbitration {
  const resolved = agree(proposals) ? { kept: proposals, dropped: [] } : resolve(proposals);
  return budget ? afforded(resolved, budget) : resolved;
}

function resolve(proposals: readonly Proposal[]): Arbitration {
  const kept: Proposal[] = [];
  const dropped: Dropped[] = [];
  /** Places in `kept`, by run and agent. */
  const places = new Map<RunId | undefined, Map<AgentId, number[]>>();
  for (const proposal of proposals) {
    const { agent, run } = proposal.action.prefix;
    let agents = places.get(run);
    if (!agents) places.set(run, (agents = new Map()));
    const own = agents.get(agent);
    const place = own?.find((at) => areRivals((kept[at] as Proposal).action, proposal.action));
    if (place === undefined) {
      if (own) own.push(kept.length);
      else agents.set(agent, [kept.length]);
      kept.push(proposal);
      continue;
    }
    const rival = kept[place] as Proposal;
    if (outweighs(proposal.action, rival.action)) {
      kept[place] = proposal;
      dropped.push({ proposal: rival, reason: reason(rival, proposal) });
    } else {
      dropped.push({ proposal, reason: reason(proposal, rival) });
    }
  }
  return { kept, dropped };
}

/** Drops what the budget has no room for. */
function afforded({ kept, dropped }: Arbitration, budget: AheadBudget): Arbitration {
  const ahead: Proposal[] = [];
  for (const proposal of kept) {
    const { action } = proposal;
    if (isAhead(action)) ahead.push(proposal);
    else if (action.type === "cancel")
      budget.giveBack(action.prefix.run ?? "", action.prefix.agent, "prefetch");
  }
  if (ahead.length === 0) return { kept, dropped };
  const probability = ({ action }: Proposal) => (action as AheadHint).probability;
  const refused = ahead
    .toSorted((one, other) => probability(other) - probability(one))
    .filter(({ action }) => !budget.take(action as AheadHint));
  if (refused.length === 0) return { kept, dropped };
  return {
    kept: kept.filter((proposal) => !refused.includes(proposal)),
    dropped: [...dropped, ...refused.map((proposal) => ({ proposal, reason: overBudget(proposal, budget) }))],
  };
}

/**
 * Merges what several policies rule about one waiting call: `deny` beats all, `ask` all but that, `reuse` beats `hold` and
 * `route`, `hold` beats `route` until it ends, `admit` gives way to all. The longest hold wins, but never past the call's
 * budget of waiting. Ties break by policy order: of two that route a call, the first one says where it goes. Without a verdict
 * the call is admitted, and a late request, which is under way as it is, is not repeated.
 *
 * @param budgetMs milliseconds that the call may still wait.
 */
export function rule(call: CallRef, judgements: readonly Judgement[], budgetMs: number): Ruling {
  const dropped: { judgement: Judgement; reason: string }[] = [];
  let best: Judgement | undefined;
  for (const judgement of judgements) {
    if (judgement.verdict.type === "hold" && budgetMs <= 0) {
      dropped.push({ judgement, reason: "the call has waited for as long as it may" });
    } else if (best === undefined || outranks(judgement.verdict, best.verdict)) {
      if (best) dropped.push({ judgement: best, reason: yields(best, judgement) });
      best = judgement;
    } else {
      dropped.push({ judgement, reason: yields(judgement, best) });
    }
  }
  if (best === undefined) return { kept: { verdict: { type: "admit", call } }, dropped };
  const { policy, verdict } = best;
  const priority = combinedPriority(judgements);
  if (verdict.type !== "hold" || verdict.forMs <= budgetMs)
    return priority === undefined ? { kept: best, dropped } : { kept: best, dropped, priority };
  return { kept: { policy, verdict: { ...verdict, forMs: budgetMs } }, dropped };
}

/** Weighted mean of what policies score one call, in [0, 1]; one half when none does. */
export function combinedScore(
  scores: readonly { readonly score: number; readonly weight: number }[],
): number {
  let sum = 0;
  let weights = 0;
  for (const { score, weight } of scores) {
    sum += score * weight;
    weights += weight;
  }
  return weights > 0 ? sum / weights : 0.5;
}

function combinedPriority(judgements: readonly Judgement[]): number | undefined {
  const given = judgements.flatMap(({ verdict, weight = 1 }) =>
    verdict.type === "admit" && verdict.priority !== undefined ? { score: verdict.priority, weight } : [],
  );
  return given.length === 0 ? undefined : combinedScore(given);
}

const RANKS = { admit: 0, route: 1, hold: 2, reuse: 3, ask: 4, deny: 5 } as const;

function outranks(one: Verdict, other: Verdict): boolean {
  if (one.type === "hold" && other.type === "hold") return one.forMs > other.forMs;
  // Both let it go on; why is worth more to whoever reads the ledger.
  if (one.type === "admit" && other.type === "admit")
    return one.reason !== undefined && other.reason === undefined;
  return RANKS[one.type] > RANKS[other.type];
}

function yields(loser: Judgement, winner: Judgement): string {
  const { type, call } = winner.verdict;
  // A late request is not made where it is admitted, so that to route it says otherwise.
  if (
    loser.verdict.type === "admit" &&
    (type === "admit" || (type === "route" && call.kind !== "late-request"))
  )
    return `${winner.policy} lets the same call go on`;
  return `${loser.verdict.type} gives way to ${winner.verdict.type} of ${winner.policy} on the same call`;
}

function reason(loser: Proposal, winner: Proposal): string {
  return `${loser.action.type} gives way to ${winner.action.type} of ${winner.policy} on the same prefix`;
}

function overBudget({ action }: Proposal, { limit, tokens }: AheadBudget): string {
  return `${(action as AheadHint).tokens} tokens are more than is left of the budget for work ahead: ${tokens} of ${limit} are taken`;
}

/** Whether no two of them are about one prefix; false too where they are too many to compare them all. */
function agree(proposals: readonly Proposal[]): boolean {
  if (proposals.length > FEW) return false;
  for (let i = 1; i < proposals.length; i++) {
    const { action } = proposals[i] as Proposal;
    const { agent, run } = action.prefix;
    for (let j = 0; j < i; j++) {
      const other = (proposals[j] as Proposal).action;
      if (other.prefix.agent === agent && other.prefix.run === run && areRivals(other, action)) return false;
    }
  }
  return true;
}

/** Whether two hints about one agent of a run contradict each other: whatever branch it goes on with, its prompt is fetched once. */
function areRivals(one: Advice, other: Advice): boolean {
  const kind = family(one);
  return (
    kind === family(other) && (kind === "fetch" || (one.prefix.branch ?? 0) === (other.prefix.branch ?? 0))
  );
}

/** Verbs that contradict each other on one prefix. */
function family(action: Advice): "keep" | "fetch" {
  return isAhead(action) || action.type === "cancel" ? "fetch" : "keep";
}

/** Orders contradicting verbs, in each family for itself. */
const STRENGTHS = { evict: 0, release: 1, retain: 2, pin: 3, cancel: 0, prefetch: 1, speculate: 2 } as const;

/** The stronger verb wins, and of equal verbs the one that is worth more. */
function outweighs(one: Advice, other: Advice): boolean {
  const [own, rival] = [STRENGTHS[one.type], STRENGTHS[other.type]];
  return own === rival ? worthOf(one) > worthOf(other) : own > rival;
}

function worthOf(action: Advice): number {
  if (action.type === "speculate") return action.probability;
  return "value" in action ? action.value : 0;
}
