import type { RequestSubject } from "../../src/runtime/call.ts";
import type { Event, Usage } from "../../src/runtime/event.ts";
import { Gate, type Ruled } from "../../src/runtime/gate.ts";
import { type InstalledPolicy, PolicyFaults } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import type { PolicyContext, PolicyDefinition, Subject } from "../../src/runtime/policy.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";

/** A model call as it went through the gate and the engine; times in milliseconds of the simulated clock. */
export interface Served {
  readonly call: RequestSubject;
  readonly verdict: string;
  /** That it takes along to the engine. */
  readonly priority: number | undefined;
  readonly admittedAt: number;
  firstTokenAt: number;
}

/** How long an engine takes for a call while `busy` calls, itself included, are under way. */
export type ServiceTime = (call: RequestSubject, busy: number) => { firstTokenMs: number; totalMs: number };

/** An engine that serves eight calls at once as fast as one, and gets slower in proportion with more. */
export const eightAtOnce: ServiceTime = (_call, busy) => {
  const slower = Math.max(1, busy / 8);
  return { firstTokenMs: 40 * slower, totalMs: 200 * slower };
};

/** Plays calls against a gate and an engine, in simulated time. */
export class GateSimulation {
  now = 0;
  readonly served = new Map<string, Served>();
  readonly ledger = new Ledger();
  readonly gate: Gate;
  readonly #policies: readonly InstalledPolicy[];
  readonly #service: ServiceTime;
  readonly #usage: (call: RequestSubject) => Usage;
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];
  #busy = 0;

  constructor(
    definitions: readonly (readonly [PolicyDefinition<Subject>, object])[],
    service: ServiceTime,
    usage: (call: RequestSubject) => Usage = ({ tokens }) => ({ promptTokens: tokens, outputTokens: 10 }),
    budgetMs = 60_000,
  ) {
    this.#service = service;
    this.#usage = usage;
    const clock = { now: () => this.now };
    const predictor = new LearnedPredictor();
    const prefixes = new LivePrefixes({ tokens: (characters) => characters / 4, branch: () => 0 });
    this.#policies = definitions.map(([definition, given]) => {
      const context: PolicyContext<unknown> = {
        options: definition.options.parse(given),
        clock,
        predictor,
        prefixes,
      };
      return { definition, policy: definition.create(context) };
    });
    const faults = new PolicyFaults((where, error) => {
      throw new Error(where, { cause: error });
    });
    this.gate = new Gate({ clock, policies: this.#policies, faults, ledger: this.ledger, budgetMs });
  }

  /** A call that comes at a time. */
  call(id: string, at: number, more: Partial<RequestSubject> = {}): void {
    this.#at(at, () => {
      const call: RequestSubject = {
        kind: "request",
        id,
        agent: "a",
        run: `run ${id}`,
        at,
        anchor: "anchor",
        anchorTokens: 0,
        tokens: 100,
        ...more,
      };
      this.#take(this.gate.arrive(call));
    });
  }

  /** State of one of the policies. */
  snapshot(policy: number): unknown {
    return this.#policies[policy]?.policy.snapshot?.();
  }

  /** Plays until a time. */
  play(until: number): void {
    for (;;) {
      const next = this.#due[0];
      const wake = this.gate.nextWake ?? Number.POSITIVE_INFINITY;
      const at = Math.min(next?.at ?? Number.POSITIVE_INFINITY, wake);
      if (at > until) break;
      this.now = Math.max(this.now, at);
      if (next && next.at <= wake) {
        this.#due.shift();
        next.run();
      } else {
        this.#take(this.gate.wake());
      }
    }
    this.now = until;
  }

  #at(at: number, run: () => void): void {
    const place = this.#due.findLastIndex((other) => other.at <= at);
    this.#due.splice(place + 1, 0, { at, run });
  }

  #take(ruled: readonly Ruled[]): void {
    for (const { call, verdict, priority } of ruled) {
      if (call.kind !== "request") continue;
      const one: Served = {
        call,
        verdict: verdict.type,
        priority,
        admittedAt: this.now,
        firstTokenAt: Number.NaN,
      };
      this.served.set(call.id, one);
      if (verdict.type !== "admit") continue;
      this.#busy++;
      const { firstTokenMs, totalMs } = this.#service(call, this.#busy);
      const identity = { agent: call.agent, run: call.run, namespace: call.agent, request: call.id };
      this.#at(this.now + firstTokenMs, () => {
        one.firstTokenAt = this.now;
        this.tell({ type: "request-first-token", at: this.now, ...identity });
      });
      this.#at(this.now + totalMs, () => {
        this.#busy--;
        const usage = this.#usage(call);
        this.tell({ type: "request-end", at: this.now, ...identity, status: "completed", usage });
      });
    }
  }

  /** Tells the policies of an event, and lets go on what may. */
  tell(event: Event): void {
    for (const { policy } of this.#policies) policy.observe?.(event);
    this.#take(this.gate.observe(event));
  }
}
