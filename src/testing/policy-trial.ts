import assert from "node:assert/strict";
import { LearnedPredictor } from "../learn/predictor.ts";
import type { Action } from "../runtime/action.ts";
import { AgentRuntime } from "../runtime/agent-runtime.ts";
import type { Worker } from "../runtime/engine.ts";
import { Gate } from "../runtime/gate.ts";
import { type InstalledPolicy, PolicyFaults } from "../runtime/installed-policy.ts";
import { Ledger } from "../runtime/ledger.ts";
import { LivePrefixes } from "../runtime/live-prefixes.ts";
import type { Policy, PolicyDefinition, Subject } from "../runtime/policy.ts";
import { type TrialStep, trialSteps } from "./trial-runs.ts";
import { watch, type WatchedPolicy } from "./watched-policy.ts";

const STEPS = 400;
/** Milliseconds that a call may be held in all. */
export const BUDGET_MS = 300;
const WORKERS: readonly Worker[] = [
  { baseURL: "http://one/v1", isUp: true, underWay: 2 },
  { baseURL: "http://two/v1", isUp: true, underWay: 0 },
  { baseURL: "http://three/v1", isUp: false, underWay: 0 },
];

/** One policy alone, with a clock of its own. */
export class PolicyTrial {
  readonly policy: Policy;
  readonly faults: string[] = [];
  readonly watched: WatchedPolicy;
  longestMs = 0;
  readonly #time = { now: 0 };
  readonly #runtime: AgentRuntime;
  readonly #gate: Gate;
  readonly #waiting = new Map<string, number>();

  constructor(definition: PolicyDefinition<Subject>, given: object) {
    const clock = { now: () => this.#time.now };
    const predictor = new LearnedPredictor();
    const prefixes = new LivePrefixes(predictor);
    const options: unknown = definition.options.parse(given);
    this.policy = definition.create({ options, clock, predictor, prefixes });
    this.watched = watch(this.policy);
    const policies: readonly InstalledPolicy[] = [{ definition, policy: this.watched.policy }];
    const onFault = (where: string, error: unknown) => void this.faults.push(`${where}: ${String(error)}`);
    const ledger = new Ledger();
    const faults = new PolicyFaults(onFault);
    this.#runtime = new AgentRuntime({ clock, predictor, prefixes, policies, faults, ledger, onFault });
    this.#gate = new Gate({ clock, policies, faults, ledger, budgetMs: BUDGET_MS, workers: () => WORKERS });
  }

  /** Plays random steps; what was decided, in order. */
  play(seed: number): readonly unknown[] {
    return this.playSteps(trialSteps(seed, STEPS));
  }

  playSteps(steps: readonly TrialStep[]): readonly unknown[] {
    return steps.flatMap((step) => this.#play(step));
  }

  /** Lets time pass until nothing waits any more. */
  finish(): void {
    for (let next = this.#gate.nextWake; next !== undefined; next = this.#gate.nextWake) {
      this.#time.now = Math.max(this.#time.now, next);
      this.#left(this.#gate.wake());
    }
    assert.equal(this.#waiting.size, 0, "a call was never let go");
  }

  #play(step: TrialStep): readonly unknown[] {
    switch (step.type) {
      case "event": {
        this.#passTo(step.event.at);
        const hints: readonly Action[] = this.#runtime.observe(step.event);
        // A call that ends while it waits is given up.
        if (step.event.type === "request-end") this.#waiting.delete(`request ${step.event.request}`);
        return [...hints, ...this.#left(this.#gate.observe(step.event))];
      }
      case "cache":
        this.#runtime.observeCache(step.event);
        return [];
      case "arrive": {
        this.#passTo(step.call.at);
        if (!this.#gate.handles(step.call.kind)) return [];
        const key = `${step.call.kind} ${step.call.id}`;
        if (!this.#waiting.has(key)) this.#waiting.set(key, this.#time.now);
        return this.#left(this.#gate.arrive(step.call));
      }
      case "leave": {
        const key = `${step.call.kind} ${step.call.id}`;
        this.#waiting.delete(key);
        return this.#left(this.#gate.leave(step.call, { status: "completed", output: step.output }));
      }
      case "wait":
        return this.#passTo(this.#time.now + step.ms);
    }
  }

  /** Whoever owns a gate wakes it in time. */
  #passTo(at: number): readonly unknown[] {
    const decided: unknown[] = [];
    for (;;) {
      const next = this.#gate.nextWake;
      if (next === undefined || next > at) break;
      this.#time.now = Math.max(this.#time.now, next);
      decided.push(...this.#left(this.#gate.wake()));
    }
    this.#time.now = Math.max(this.#time.now, at);
    return decided;
  }

  #left(ruled: ReturnType<Gate["wake"]>): readonly unknown[] {
    for (const { call } of ruled) {
      const key = `${call.kind} ${call.id}`;
      this.longestMs = Math.max(this.longestMs, this.#time.now - (this.#waiting.get(key) ?? this.#time.now));
      this.#waiting.delete(key);
    }
    return ruled;
  }
}
