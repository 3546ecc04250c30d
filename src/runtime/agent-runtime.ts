import type { Action, PrefixRef } from "./action.ts";
import { arbitrate, type Proposal } from "./arbiter.ts";
import type { Clock } from "./clock.ts";
import type { Event, RunId } from "./event.ts";
import type { Ledger } from "./ledger.ts";
import type { LivePrefixes } from "./live-prefixes.ts";
import type {
  Moment,
  Policy,
  PolicyDefinition,
  Prediction,
  Predictor,
  PrefixSubject,
  Scored,
} from "./policy.ts";

/** A policy ready to run: its definition and the instance made from it. */
export interface InstalledPolicy {
  readonly definition: PolicyDefinition<"prefix">;
  readonly policy: Policy<"prefix">;
}

export interface AgentRuntimeParts {
  readonly clock: Clock;
  readonly predictor: Predictor;
  readonly prefixes: LivePrefixes;
  readonly policies: readonly InstalledPolicy[];
  readonly ledger: Ledger;
  /** Told of every contained fault of a policy or the predictor. */
  readonly onFault: (where: string, error: unknown) => void;
  /** Told how long each decision took, in microseconds of the clock. */
  readonly onDecision?: (microseconds: number) => void;
}

/** A policy that faults this often in a row is left out from then on. */
const MAX_FAULTS_IN_A_ROW = 20;
const NONE: readonly never[] = [];

/**
 * The loop observe -> predict -> score -> act.
 *
 * Pure and deterministic under its clock: it takes events and returns the actions to carry out. A hook
 * that throws or returns nonsense is a fault of that policy and changes nothing else.
 */
export class AgentRuntime {
  readonly #parts: AgentRuntimeParts;
  readonly #faults: number[];

  constructor(parts: AgentRuntimeParts) {
    this.#parts = parts;
    this.#faults = parts.policies.map(() => 0);
  }

  /** Takes one event in; returns what to do about it, already arbitrated and in the ledger. Never throws. */
  observe(event: Event): readonly Action[] {
    const { clock, predictor, prefixes, policies, onDecision } = this.#parts;
    const now = clock.now();
    this.#tell("predictor", predictor, event);
    this.#tell("prefixes", prefixes, event);
    for (let i = 0; i < policies.length; i++) {
      if (this.#isLeftOut(i)) continue;
      try {
        policies[i]?.policy.observe?.(event);
      } catch (error) {
        this.#fault(i, "observe", error);
      }
    }
    const run = decisionRun(event);
    if (run === undefined) return NONE;
    const actions = this.#decide(event, run, now);
    onDecision?.((clock.now() - now) * 1000);
    return actions;
  }

  #decide(event: Event, run: RunId, now: number): readonly Action[] {
    const { prefixes, policies } = this.#parts;
    const replaced = prefixes.takeReplaced();
    const ended = event.type === "run-end" && event.session === undefined ? prefixes.end(run) : NONE;
    const gone = replaced.length + ended.length === 0 ? NONE : [...replaced, ...ended].map(toRef);
    const moment: Moment = { event, run, now, gone };
    const predictions = this.#predict(run);
    const candidates = prefixes.of(run);
    const proposals: Proposal[] = [];
    for (let i = 0; i < policies.length; i++) {
      if (this.#isLeftOut(i)) continue;
      try {
        propose(policies[i] as InstalledPolicy, { moment, predictions, candidates }, proposals);
        this.#faults[i] = 0;
      } catch (error) {
        this.#fault(i, "act", error);
      }
    }
    return this.#record(proposals, run, now);
  }

  #record(proposals: readonly Proposal[], run: RunId, now: number): readonly Action[] {
    const { ledger } = this.#parts;
    const { kept, dropped } = arbitrate(proposals);
    for (const { proposal, reason } of dropped)
      ledger.record(now, proposal.policy, run, proposal.action).outcome = { status: "dropped", reason };
    return kept.map(({ policy, action }) => ledger.record(now, policy, run, action).action);
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

  #isLeftOut(policy: number): boolean {
    return (this.#faults[policy] ?? 0) >= MAX_FAULTS_IN_A_ROW;
  }

  #fault(policy: number, hook: string, error: unknown): void {
    this.#faults[policy] = (this.#faults[policy] ?? 0) + 1;
    const { definition } = this.#parts.policies[policy] as InstalledPolicy;
    this.#parts.onFault(`policy ${definition.name}.${hook}`, error);
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
  const predictions = policy.predict?.(given.moment) ?? given.predictions;
  const ranked = rank(policy, given.candidates, predictions);
  for (const action of policy.act?.(ranked, predictions, given.moment) ?? NONE) {
    if (!definition.actions.includes(action.type))
      throw new Error(`returned ${String(action.type)}, which it does not declare`);
    if ("value" in action && !(action.value >= 0 && action.value <= 1))
      throw new Error(`returned a value outside [0, 1]: ${action.value}`);
    proposals.push({ policy: definition.name, action });
  }
}

/** Scores every candidate; highest first. */
function rank(
  policy: Policy<"prefix">,
  candidates: readonly PrefixSubject[],
  predictions: readonly Prediction[],
): readonly Scored<"prefix">[] {
  if (!policy.score) return candidates.map((item) => ({ item, score: 0 }));
  const ranked: Scored<"prefix">[] = [];
  for (const item of candidates) {
    const score = policy.score(item, predictions);
    if (!(score >= 0 && score <= 1)) throw new Error(`scored ${score}, outside [0, 1]`);
    ranked.push({ item, score });
  }
  return ranked.toSorted((a, b) => b.score - a.score);
}

function toRef({ agent, run }: PrefixRef): PrefixRef {
  return run === undefined ? { agent } : { agent, run };
}

/** The run to decide for, or undefined when the event changes nothing about the future. */
function decisionRun(event: Event): RunId | undefined {
  switch (event.type) {
    case "request-start":
    case "request-end":
    case "next-agents":
    case "run-end":
      return event.run;
    default:
      return undefined;
  }
}
