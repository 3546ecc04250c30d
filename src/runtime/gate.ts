import type { AdmitVerdict, DenyVerdict, FinalVerdict, HoldVerdict, Verdict } from "./action.ts";
import { type Judgement, rule } from "./arbiter.ts";
import type { CallKind, CallRef, CallResult, CallSubject } from "./call.ts";
import { CallPolicies } from "./call-policies.ts";
import type { Clock } from "./clock.ts";
import type { Worker } from "./engine.ts";
import type { Event } from "./event.ts";
import { type InstalledPolicy, type PolicyFaults, rates } from "./installed-policy.ts";
import type { Ledger, LedgerEntry } from "./ledger.ts";
import type { GateMoment } from "./policy.ts";

export interface GateParts {
  readonly clock: Clock;
  readonly policies: readonly InstalledPolicy[];
  readonly faults: PolicyFaults;
  readonly ledger: Ledger;
  /** Milliseconds that a call may be held in all, whatever policies say. */
  readonly budgetMs: number;
  /** The servers that may take a model call; default: one, of which nothing has to be known. */
  readonly workers?: () => readonly Worker[];
  /** Whether the engine serves calls of higher priority first; default: it does not. */
  readonly servesByPriority?: () => boolean;
}

/** With what a call leaves, and the policy behind it, if one cared. */
export interface Decision {
  readonly verdict: FinalVerdict;
  readonly policy?: string;
  /** Milliseconds without a token after which a model call wants to come back as a `late-request`. */
  readonly patienceMs?: number;
  /** Of a model call at the engine, in [0, 1]; absent: no policy gives it one. */
  readonly priority?: number;
}

/**
 * Model calls that were made a second time: all, and of those that have ended the ones that answered first, and the others.
 */
export interface Repeats {
  readonly made: number;
  readonly won: number;
  readonly lost: number;
}

/** A call that leaves the gate. */
export interface Ruled extends Decision {
  readonly call: CallSubject;
}

interface Waiting {
  readonly call: CallSubject;
  /** Clock time at which it is asked about again. */
  wakeAt: number;
  /** Why it is held at present. */
  hold: Hold | undefined;
}

interface Hold {
  readonly reason: string;
  readonly entry: LedgerEntry;
}

interface UnderWay {
  readonly call: CallSubject;
  /** The verdict that it left with, if a policy cared. */
  readonly entry: LedgerEntry | undefined;
}

/** The calls of one kind, in the order in which they came. */
interface Lane {
  readonly kind: CallKind;
  readonly policies: CallPolicies;
  readonly waiting: Map<string, Waiting>;
  readonly underWay: Map<string, UnderWay>;
}

const NONE: readonly never[] = [];
/** A call whose end nobody saw for this long takes up no room any more, in milliseconds. */
const LOST_AFTER_MS = 600_000;

/**
 * Where calls wait for the verdicts of policies.
 *
 * Pure, like the rest of the runtime: whoever owns it keeps the time, wakes it at `nextWake` and tells waiting calls what came
 * of them. No call waits for longer than the budget. A policy that throws admits, unless it is declared to fail closed.
 */
export class Gate {
  readonly #parts: GateParts;
  readonly #lanes: readonly Lane[];
  readonly #repeats = { made: 0, won: 0, lost: 0 };
  #isClosed = false;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#lanes = (["request", "late-request", "tool-call", "transition"] as const).flatMap((kind) => {
      const rating = parts.policies.filter((installed) => rates(installed, kind));
      if (rating.length === 0) return [];
      const policies = new CallPolicies(rating, parts.faults);
      return { kind, policies, waiting: new Map(), underWay: new Map() };
    });
  }

  /** Whether any policy rates calls of this kind; others need not come here. */
  handles(kind: CallKind): boolean {
    return this.#lane(kind) !== undefined;
  }

  /** Whether a policy that rates calls of this kind fails closed. */
  failsClosed(kind: CallKind): boolean {
    return this.#lane(kind)?.policies.failsClosed ?? false;
  }

  /** No policy rates calls of any kind. */
  get isOpen(): boolean {
    return this.#lanes.length === 0;
  }

  get repeats(): Repeats {
    return { ...this.#repeats };
  }

  /** Clock time at which held calls want to be asked about again; undefined when none waits. */
  get nextWake(): number | undefined {
    let next: number | undefined;
    for (const { waiting } of this.#lanes)
      for (const { wakeAt } of waiting.values()) if (next === undefined || wakeAt < next) next = wakeAt;
    return next;
  }

  /** A call has come. Returns all calls that may leave now, which need not include it. */
  arrive(call: CallSubject): readonly Ruled[] {
    const lane = this.#lane(call.kind);
    // A client that tries once more has its place already.
    if (!lane || lane.underWay.has(call.id)) return [{ call, verdict: { type: "admit", call } }];
    if (lane.waiting.has(call.id)) return NONE;
    lane.waiting.set(call.id, { call, wakeAt: Number.POSITIVE_INFINITY, hold: undefined });
    return this.#reconsider(lane);
  }

  /** A call that was let go on has ended, or one that waited is given up. */
  leave(call: CallRef, result: CallResult): readonly Ruled[] {
    const lane = this.#lane(call.kind);
    if (!lane || !this.#end(lane, call.id, result)) return NONE;
    return this.#reconsider(lane);
  }

  /** A human has answered what a policy asked about a call. */
  answer(call: CallSubject, policy: string, verdict: AdmitVerdict | DenyVerdict): void {
    const lane = this.#lane(call.kind);
    if (lane && !this.#isClosed) this.#letGo(lane, { call, verdict, policy });
  }

  /**
   * Events end model calls, and change what policies think of those that wait. One that waits may outlive its run, whose end
   * ends all its requests: it goes on waiting, until it may go or is given up.
   */
  observe(event: Event): readonly Ruled[] {
    if (event.type === "request-end") {
      const lane = this.#lane("request");
      if (lane?.underWay.has(event.request)) this.#end(lane, event.request, { status: event.status });
    }
    return this.wake();
  }

  /** Nothing more is asked here: whoever waits is told elsewhere, and policies hear of nothing any more. */
  close(): void {
    for (const { waiting, underWay } of this.#lanes) {
      for (const one of waiting.values()) this.#endHold(one, "cancelled");
      waiting.clear();
      underWay.clear();
    }
    this.#isClosed = true;
  }

  /** Asks about all waiting calls again. */
  wake(): readonly Ruled[] {
    let ruled: readonly Ruled[] = NONE;
    for (const lane of this.#lanes) if (lane.waiting.size > 0) ruled = [...ruled, ...this.#reconsider(lane)];
    return ruled;
  }

  #lane(kind: CallKind): Lane | undefined {
    return this.#lanes.find((lane) => lane.kind === kind);
  }

  #end(lane: Lane, id: string, result: CallResult): boolean {
    const underWay = lane.underWay.get(id);
    const waiting = lane.waiting.get(id);
    const call = underWay?.call ?? waiting?.call;
    if (!call) return false;
    lane.underWay.delete(id);
    lane.waiting.delete(id);
    this.#endHold(waiting, "cancelled");
    if (underWay && lane.kind === "late-request")
      this.#repeats[result.status === "completed" ? "won" : "lost"]++;
    if (underWay?.entry && result.reason !== undefined)
      underWay.entry.outcome = { status: "applied", reason: result.reason };
    lane.policies.tell("ended", ({ policy }) => policy.ended?.(call, result));
    return true;
  }

  #reconsider(lane: Lane): readonly Ruled[] {
    const left: Ruled[] = [];
    const now = this.#parts.clock.now();
    this.#dropLost(lane, now);
    // What a call that is answered in another way leaves free may be for those behind it.
    for (let again = lane.waiting.size > 0; again;) {
      const ruled = this.#pass(lane, now);
      left.push(...ruled);
      again = lane.waiting.size > 0 && ruled.some(({ call, verdict }) => !goesOn(call, verdict));
    }
    return left;
  }

  #dropLost(lane: Lane, now: number): void {
    for (const { call } of lane.underWay.values()) {
      if (now - call.at < LOST_AFTER_MS) return;
      this.#end(lane, call.id, { status: "cancelled" });
    }
  }

  /** Asks every policy about every waiting call, once; those that fail closed again when others have gone on since. */
  #pass(lane: Lane, now: number): readonly Ruled[] {
    const { policies } = lane;
    const ranked = policies.rank(Array.from(lane.waiting.values(), ({ call }) => call));
    const judgements = policies.judge(ranked, this.#moment(lane, now));
    const left: Ruled[] = [];
    let hasGone = false;
    for (const one of ranked) {
      const { item } = one;
      let own: readonly Judgement[] = judgements.get(item.id) ?? NONE;
      // What the calls before it spend counts for it.
      if (hasGone && policies.failsClosed && own.every(({ verdict }) => goesOn(item, verdict)))
        own = policies.judgeAgain(one, own, this.#moment(lane, now));
      const ruled = this.#rule(lane, item, own, now);
      if (!ruled) continue;
      left.push(ruled);
      hasGone ||= goesOn(item, ruled.verdict);
    }
    return left;
  }

  #moment({ kind, underWay }: Lane, now: number): GateMoment {
    const isOfModel = kind === "request" || kind === "late-request";
    const workers = (isOfModel ? this.#parts.workers?.() : undefined) ?? NONE;
    const servesByPriority = isOfModel && this.#parts.servesByPriority?.() === true;
    return { now, underWay: underWay.size, workers, servesByPriority };
  }

  /** Lets one call go, or holds it. */
  #rule(lane: Lane, call: CallSubject, judgements: readonly Judgement[], now: number): Ruled | undefined {
    const { ledger, budgetMs } = this.#parts;
    const { kept, dropped, priority } = rule(call, judgements, call.at + budgetMs - now);
    const { policy, verdict } = kept;
    if (verdict.type === "hold") {
      const waiting = lane.waiting.get(call.id);
      if (!waiting || policy === undefined) return undefined;
      this.#hold(waiting, policy, verdict);
      // Whoever holds it for a shorter time wants to be asked by then, be it only to deny it.
      for (const { verdict: own } of judgements)
        if (own.type === "hold") waiting.wakeAt = Math.min(waiting.wakeAt, now + own.forMs);
      return undefined;
    }
    for (const { judgement, reason } of dropped)
      ledger.record(now, judgement.policy, call.run, recordable(judgement.verdict)).outcome = {
        status: "dropped",
        reason,
      };
    const ruled: Ruled = {
      call,
      verdict,
      ...(policy !== undefined && { policy }),
      ...(priority !== undefined && { priority }),
    };
    this.#letGo(lane, ruled);
    const patienceMs =
      call.kind === "request" && goesOn(call, verdict) ? lane.policies.patience(call) : undefined;
    return patienceMs === undefined ? ruled : { ...ruled, patienceMs };
  }

  #letGo(lane: Lane, { call, verdict, policy }: Ruled): void {
    const { ledger, clock } = this.#parts;
    this.#endHold(lane.waiting.get(call.id), "applied");
    lane.waiting.delete(call.id);
    const entry =
      policy === undefined ? undefined : ledger.record(clock.now(), policy, call.run, recordable(verdict));
    if (entry) entry.outcome = { status: "applied" };
    if (goesOn(call, verdict) && lane.kind !== "transition") lane.underWay.set(call.id, { call, entry });
    if (goesOn(call, verdict) && lane.kind === "late-request") this.#repeats.made++;
    lane.policies.tell("decided", (installed) => installed.policy.decided?.(call, verdict));
  }

  #hold(waiting: Waiting, policy: string, verdict: HoldVerdict): void {
    const now = this.#parts.clock.now();
    waiting.wakeAt = now + verdict.forMs;
    const { hold, call } = waiting;
    if (hold?.entry.policy === policy && hold.reason === verdict.reason) return;
    this.#endHold(waiting, "applied");
    const entry = this.#parts.ledger.record(now, policy, call.run, recordable(verdict));
    waiting.hold = { reason: verdict.reason, entry };
  }

  #endHold(waiting: Waiting | undefined, status: "applied" | "cancelled"): void {
    if (!waiting?.hold) return;
    const { entry, reason } = waiting.hold;
    const forMs = Math.round(this.#parts.clock.now() - entry.at);
    entry.outcome = { status, reason: `${reason}: held for ${forMs} ms` };
  }
}

/** A verdict as the ledger may keep it. */
function recordable(verdict: Verdict): Verdict {
  const { kind, id, agent, run } = verdict.call;
  const call: CallRef = { kind, id, agent, run };
  return verdict.type === "reuse" ? { ...verdict, call, output: undefined } : { ...verdict, call };
}

/** Whether it is made now. A late request is under way as it is; only a second server has something to do. */
function goesOn({ kind }: CallRef, { type }: Verdict): boolean {
  return type === "route" || (type === "admit" && kind !== "late-request");
}
