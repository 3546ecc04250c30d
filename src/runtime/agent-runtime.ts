import { type Advice, type Outcome, type PrefixRef, promptOf, type Settlement } from "./action.ts";
import { AheadBudget } from "./ahead-budget.ts";
import { arbitrate, type Proposal } from "./arbiter.ts";
import { atOnce, MAX_ACTIONS } from "./hook-result.ts";
import { checkHint } from "./check-hint.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { Clock } from "./clock.ts";
import type { Event, RunId } from "./event.ts";
import { type InstalledPolicy, PolicyFaults, rates } from "./installed-policy.ts";
import type { Ledger } from "./ledger.ts";
import type { LivePrefixes } from "./live-prefixes.ts";
import type { Moment, Policy, Prediction, Predictor, PrefixSubject, Scored } from "./policy.ts";

export interface AgentRuntimeParts {
  readonly clock: Clock;
  readonly predictor: Predictor;
  readonly prefixes: LivePrefixes;
  readonly policies: readonly InstalledPolicy[];
  /** Shared with the gate, where the same policies give verdicts; default: one of its own. */
  readonly faults?: PolicyFaults;
  readonly ledger: Ledger;
  /** Most tokens of work ahead that nobody has used yet, of all policies together; default: 65,536. */
  readonly aheadTokens?: number;
  /** Told of every contained fault of a policy or the predictor. */
  readonly onFault: (where: string, error: unknown) => void;
  /** Told how long each decision took, in microseconds of the clock. */
  readonly onDecision?: (microseconds: number) => void;
}

const NONE: readonly never[] = [];
const AHEAD_TOKENS = 65_536;

/**
 * The loop observe -> predict -> score -> act.
 *
 * Pure and deterministic under its clock: it takes events and returns the actions to carry out. A hook
 * that throws or returns nonsense is a fault of that policy and changes nothing else.
 */
export class AgentRuntime {
  readonly #parts: AgentRuntimeParts;
  readonly #faults: PolicyFaults;
  /** Those that rate prefixes; the others only observe here. */
  readonly #raters: readonly InstalledPolicy[];
  readonly #ahead: AheadBudget;
  /** What is to be decided about, by run. */
  readonly #due = new Map<RunId, Event>();
  /** Milliseconds that taking it in took. */
  #spent = 0;

  constructor(parts: AgentRuntimeParts) {
    this.#parts = parts;
    this.#faults = parts.faults ?? new PolicyFaults(parts.onFault);
    this.#ahead = new AheadBudget(parts.aheadTokens ?? AHEAD_TOKENS);
    this.#raters = parts.policies.filter((installed) => rates(installed, "prefix"));
  }

  /** Takes one event in; returns what to do about it, already arbitrated and in the ledger. Never throws. */
  observe(event: Event): readonly Advice[] {
    this.take(event);
    return this.decide();
  }

  /** Takes one event in; what to do about it is for `decide` to say. Never throws. */
  take(event: Event): void {
    const { clock, predictor, prefixes, policies } = this.#parts;
    const started = clock.now();
    this.#tell("predictor", predictor, event);
    this.#tell("prefixes", prefixes, event);
    this.#ahead.observe(event);
    for (const installed of policies) {
      if (this.#faults.isLeftOut(installed)) continue;
      try {
        atOnce(installed.policy.observe?.(event));
      } catch (error) {
        this.#faults.note(installed, "observe", error);
      }
    }
    if (!isDecidedAbout(event)) return;
    const due = this.#due.get(event.run);
    if (!due || weightOf(event) >= weightOf(due)) this.#due.set(event.run, event);
    this.#spent += clock.now() - started;
  }

  /**
   * What to do about all events taken in since the last time: one decision for each run, however many there were, about its
   * end, or else its newest request, or else its next agents. Never throws.
   *
   * @param at clock time at which it is decided; default: now.
   */
  decide(at?: number): readonly Advice[] {
    if (this.#due.size === 0) return NONE;
    const { clock, onDecision } = this.#parts;
    let actions: readonly Advice[] = NONE;
    for (const [run, event] of this.#due) {
      const started = clock.now();
      const own = this.#decide(event, run, at ?? started);
      actions = actions.length === 0 ? own : [...actions, ...own];
      onDecision?.((clock.now() - started + this.#spent) * 1000);
      this.#spent = 0;
    }
    this.#due.clear();
    return actions;
  }

  /** Takes in what the engine tells of its cache. Never throws. */
  observeCache(event: CacheEvent): void {
    for (const installed of this.#parts.policies) {
      if (!installed.policy.observeCache || this.#faults.isLeftOut(installed)) continue;
      try {
        atOnce(installed.policy.observeCache(event));
      } catch (error) {
        this.#faults.note(installed, "observeCache", error);
      }
    }
  }

  /** Notes what became of advice, and tells the policy whose it was; returns that one's name. Never throws. */
  settle(action: Advice, outcome: Outcome): string | undefined {
    this.#ahead.settle(action, outcome);
    const name = this.#parts.ledger.settle(action, outcome)?.policy;
    this.#tellSettled(name, action, outcome);
    return name;
  }

  #tellSettled(name: string | undefined, action: Advice, outcome: Settlement): void {
    const installed = this.#raters.find(({ definition }) => definition.name === name);
    if (!installed?.policy.settled) return;
    try {
      atOnce(installed.policy.settled(action, outcome));
    } catch (error) {
      this.#faults.note(installed, "settled", error);
    }
  }

  #decide(event: Event, run: RunId, now: number): readonly Advice[] {
    const { prefixes } = this.#parts;
    const replaced = prefixes.takeReplaced();
    const ended = event.type === "run-end" && event.session === undefined ? prefixes.end(run) : NONE;
    const gone = replaced.length + ended.length === 0 ? NONE : [...replaced, ...ended].map(toRef);
    const moment: Moment = { event, run, now, gone };
    const predictions = this.#predict(run);
    const candidates = prefixes.of(run);
    const proposals: Proposal[] = [];
    for (const installed of this.#raters) {
      if (this.#faults.isLeftOut(installed)) continue;
      try {
        propose(installed, { moment, predictions, candidates }, proposals);
        this.#faults.worked(installed);
      } catch (error) {
        this.#faults.note(installed, "act", error);
      }
    }
    return this.#record(proposals, run, now);
  }

  #record(proposals: readonly Proposal[], run: RunId, now: number): readonly Advice[] {
    const { ledger } = this.#parts;
    const { kept, dropped } = arbitrate(proposals, this.#ahead);
    for (const { proposal, reason } of dropped) {
      const outcome = { status: "dropped", reason } as const;
      ledger.record(now, proposal.policy, run, proposal.action).outcome = outcome;
      this.#tellSettled(proposal.policy, proposal.action, outcome);
    }
    for (const { policy, action } of kept) ledger.record(now, policy, run, action);
    return kept.map(({ action }) => action);
  }

  #predict(run: RunId): readonly Prediction[] {
    try {
      return this.#parts.predictor.next(run);
    } catch (error) {
      this.#parts.onFault("predictor.next", error);
      return NONE;
    }
  }

  #tell(where: string, observer: { observe(event: Event): void }, event: Event): void {
    try {
      observer.observe(event);
    } catch (error) {
      this.#parts.onFault(`${where}.observe`, error);
    }
  }
}

/** Adds what a policy wants to the proposals. Throws where it breaks its contract; what it said before stands. */
function propose(
  { definition, policy }: InstalledPolicy,
  given: {
    readonly moment: Moment;
    readonly predictions: readonly Prediction[];
    readonly candidates: readonly PrefixSubject[];
  },
  proposals: Proposal[],
): void {
  const predictions = atOnce(policy.predict?.(given.moment)) ?? given.predictions;
  const ranked = rank(policy, given.candidates, predictions);
  let count = 0;
  for (const action of atOnce(policy.act?.(ranked, predictions, given.moment)) ?? NONE) {
    if (++count > MAX_ACTIONS) throw new Error(`returned over ${MAX_ACTIONS} actions at once`);
    checkHint(action, definition.actions);
    proposals.push({ policy: definition.name, action });
  }
}

/** Scores every candidate; highest first. */
function rank(
  policy: Policy,
  candidates: readonly PrefixSubject[],
  predictions: readonly Prediction[],
): readonly Scored<"prefix">[] {
  if (!policy.score) return candidates.map((item) => ({ item, score: 0 }));
  const ranked: Scored<"prefix">[] = [];
  for (const item of candidates) {
    const score = atOnce(policy.score(item, predictions));
    if (!(score >= 0 && score <= 1)) throw new Error(`scored ${score}, outside [0, 1]`);
    // They are few: each goes up to its place at once.
    let place = ranked.length;
    for (; place > 0 && (ranked[place - 1] as Scored<"prefix">).score < score; place--)
      ranked[place] = ranked[place - 1] as Scored<"prefix">;
    ranked[place] = { item, score };
  }
  return ranked;
}

function toRef({ agent, run, branch = 0 }: PrefixRef): PrefixRef {
  return run === undefined ? { agent } : promptOf(agent, run, branch);
}

/** Of several events of one run the one of most weight is decided about, and of equals the newest. */
function weightOf({ type }: Event): number {
  return type === "run-end" ? 2 : type === "next-agents" ? 0 : 1;
}

/** Whether it may change what is to be done; all else waits for the next event that may. */
export function isDecidedAbout(
  event: Event,
): event is Extract<Event, { type: "request-start" | "request-end" | "next-agents" | "run-end" }> {
  switch (event.type) {
    case "request-start":
    case "request-end":
    case "next-agents":
    case "run-end":
      return true;
    default:
      return false;
  }
}
