import { isVerdict } from "./action.ts";
import { combinedScore, type Judgement } from "./arbiter.ts";
import type { CallKind, CallSubject, RequestSubject } from "./call.ts";
import { atOnce, MAX_ACTIONS } from "./hook-result.ts";
import type { InstalledPolicy, PolicyFaults } from "./installed-policy.ts";
import type { GateMoment, Scored } from "./policy.ts";

const NONE: readonly never[] = [];

/** The policies that rate calls of one kind, each asked so that what it throws, or answers wrongly, is its own fault alone. */
export class CallPolicies {
  readonly #all: readonly InstalledPolicy[];
  readonly #closed: readonly InstalledPolicy[];
  readonly #faults: PolicyFaults;

  constructor(all: readonly InstalledPolicy[], faults: PolicyFaults) {
    this.#all = all;
    this.#closed = all.filter(isClosed);
    this.#faults = faults;
  }

  /** Whether one of them fails closed. */
  get failsClosed(): boolean {
    return this.#closed.length > 0;
  }

  /** Best first; equals in the order in which they came. */
  rank(calls: readonly CallSubject[]): readonly Scored<CallKind>[] {
    const scores = calls.map((): { score: number; weight: number }[] => []);
    for (const installed of this.#all) {
      const { policy } = installed;
      if (!policy.score || this.#faults.isLeftOut(installed)) continue;
      try {
        const own = calls.map((call) => checkedScore(atOnce(policy.score?.(call, NONE) as number)));
        for (const [i, list] of scores.entries())
          list.push({ score: own[i] as number, weight: policy.weight ?? 1 });
      } catch (error) {
        this.#faults.note(installed, "score", error);
      }
    }
    return calls
      .map((item, i) => ({ item, score: combinedScore(scores[i] ?? NONE) }))
      .toSorted((a, b) => b.score - a.score);
  }

  /** What each policy says of these calls, by the call's id. */
  judge(ranked: readonly Scored<CallKind>[], moment: GateMoment): Map<string, Judgement[]> {
    return this.#judge(this.#all, ranked, moment);
  }

  /** Asks those that fail closed once more about one call, and puts what they say now in the place of what they said. */
  judgeAgain(one: Scored<CallKind>, before: readonly Judgement[], moment: GateMoment): readonly Judgement[] {
    const { id } = one.item;
    const now = this.#judge(this.#closed, [one], moment).get(id) ?? NONE;
    const isOpen = ({ policy }: Judgement) =>
      !this.#closed.some(({ definition }) => definition.name === policy);
    return [...before.filter(isOpen), ...now];
  }

  /** Milliseconds without a token after which a model call wants to come back, if any policy wants that. */
  patience(call: RequestSubject): number | undefined {
    let shortest: number | undefined;
    for (const installed of this.#all) {
      const { policy } = installed;
      if (!policy.patience || this.#faults.isLeftOut(installed)) continue;
      try {
        const own = atOnce(policy.patience(call));
        if (own === undefined) continue;
        if (!(own >= 0)) throw new Error(`returned a patience of ${own} ms`);
        if (shortest === undefined || own < shortest) shortest = own;
      } catch (error) {
        this.#faults.note(installed, "patience", error);
      }
    }
    return shortest;
  }

  tell(hook: "decided" | "ended", tell: (installed: InstalledPolicy) => unknown): void {
    for (const installed of this.#all) {
      try {
        atOnce(tell(installed));
      } catch (error) {
        this.#faults.note(installed, hook, error);
      }
    }
  }

  #judge(
    policies: readonly InstalledPolicy[],
    ranked: readonly Scored<CallKind>[],
    moment: GateMoment,
  ): Map<string, Judgement[]> {
    const judgements = new Map<string, Judgement[]>(ranked.map(({ item }) => [item.id, []]));
    for (const installed of policies) this.#ask(installed, ranked, moment, judgements);
    return judgements;
  }

  #ask(
    installed: InstalledPolicy,
    ranked: readonly Scored<CallKind>[],
    moment: GateMoment,
    judgements: ReadonlyMap<string, Judgement[]>,
  ): void {
    const { definition, policy } = installed;
    if (this.#faults.isLeftOut(installed)) return;
    const missed = this.#faults.missed(installed);
    if (missed !== undefined)
      return denyAll(definition.name, `the policy fails closed, and ${missed}`, judgements, ranked);
    try {
      let count = 0;
      for (const verdict of atOnce(policy.act?.(ranked, NONE, moment)) ?? NONE) {
        if (++count > MAX_ACTIONS) throw new Error(`returned over ${MAX_ACTIONS} verdicts at once`);
        if (!isVerdict(verdict) || !definition.actions.includes(verdict.type))
          throw new Error(`returned ${String(verdict.type)} for a call, which it does not declare`);
        if (verdict.type === "hold" && !(verdict.forMs >= 0))
          throw new Error(`returned a hold of ${verdict.forMs} ms`);
        if (verdict.type === "admit" && verdict.priority !== undefined) checkedScore(verdict.priority);
        const own = judgements.get(verdict.call.id);
        if (!own) throw new Error("ruled about a call that does not wait");
        own.push({ policy: definition.name, verdict, weight: policy.weight ?? 1 });
      }
      this.#faults.worked(installed);
    } catch (error) {
      this.#faults.note(installed, "act", error);
      if (isClosed(installed))
        denyAll(definition.name, "the policy failed, and it fails closed", judgements, ranked);
    }
  }
}

function denyAll(
  policy: string,
  reason: string,
  judgements: ReadonlyMap<string, Judgement[]>,
  ranked: readonly Scored<CallKind>[],
): void {
  for (const { item: call } of ranked)
    judgements.get(call.id)?.push({ policy, verdict: { type: "deny", call, reason } });
}

function isClosed({ definition }: InstalledPolicy): boolean {
  return definition.onFault === "closed";
}

function checkedScore(score: number): number {
  if (score >= 0 && score <= 1) return score;
  throw new Error(`scored ${score}, outside [0, 1]`);
}
