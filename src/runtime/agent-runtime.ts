import type { Action, PrefixRef } from "./action.ts";
import { arbitrate, type Proposal } from "./arbiter.ts";
import type { Clock } from "./clock.ts";
import type { Event, RunId } from "./event.ts";
import type { Ledger } from "./ledger.ts";
import type { LivePrefixes } from "./live-prefixes.ts";
import type { Policy, PolicyDefinition, Prediction, Predictor, PrefixSubject, Scored } from "./policy.ts";

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
    const { clock, predictor, prefixes, policies } = this.#parts;
    const start = clock.now();
    this.#contain("predictor.observe", () => predictor.observe(event));
    this.#contain("prefixes.observe", () => prefixes.observe(event));
    for (let i = 0; i < policies.length; i++) this.#hook(i, "observe", (policy) => policy.observe?.(event));
    const run = decisionRun(event);
    if (run === undefined) return [];
    const actions = this.#decide(event, run);
    this.#parts.onDecision?.((clock.now() - start) * 1000);
    return actions;
  }

  #decide(event: Event, run: RunId): readonly Action[] {
    const { clock, predictor, prefixes, policies, ledger } = this.#parts;
    const now = clock.now();
    const ended = event.type === "run-end" && event.session === undefined;
    const gone = [...prefixes.takeReplaced(), ...(ended ? prefixes.end(run) : [])].map(toRef);
    const moment = { event, run, now, gone };
    const shared = this.#contain("predictor.next", () => predictor.next(run)) ?? [];
    const candidates = prefixes.of(run);
    const proposals: Proposal[] = [];
    for (let i = 0; i < policies.length; i++) {
      const { definition } = policies[i] as InstalledPolicy;
      this.#hook(i, "act", (policy) => {
        const predictions = policy.predict?.(moment) ?? shared;
        const ranked = rank(policy, candidates, predictions);
        for (const action of policy.act?.(ranked, predictions, moment) ?? []) {
          if (!definition.actions.includes(action.type))
            throw new Error(`returned ${String(action.type)}, which it does not declare`);
          if ("value" in action && !(action.value >= 0 && action.value <= 1))
            throw new Error(`returned a value outside [0, 1]: ${action.value}`);
          proposals.push({ policy: definition.name, action });
        }
      });
    }
    const { kept, dropped } = arbitrate(proposals);
    for (const { proposal, reason } of dropped)
      ledger.record(now, proposal.policy, run, proposal.action).outcome = { status: "dropped", reason };
    return kept.map(({ policy, action }) => {
      ledger.record(now, policy, run, action);
      return action;
    });
  }

  #hook(index: number, name: string, use: (policy: Policy<"prefix">) => void): void {
    if ((this.#faults[index] ?? 0) >= MAX_FAULTS_IN_A_ROW) return;
    const { definition, policy } = this.#parts.policies[index] as InstalledPolicy;
    try {
      use(policy);
      if (name === "act") this.#faults[index] = 0;
    } catch (error) {
      this.#faults[index] = (this.#faults[index] ?? 0) + 1;
      this.#parts.onFault(`policy ${definition.name}.${name}`, error);
    }
  }

  #contain<T>(where: string, use: () => T): T | undefined {
    try {
      return use();
    } catch (error) {
      this.#parts.onFault(where, error);
      return undefined;
    }
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
