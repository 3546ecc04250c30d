import { z } from "zod";
import { BusyShare } from "../learn/busy-share.ts";
import type {
  Action,
  Advice,
  LaterValues,
  PrefetchHint,
  PrefixRef,
  RetainHint,
  Settlement,
} from "../runtime/action.ts";
import { AheadBudget } from "../runtime/ahead-budget.ts";
import type { AgentId, Event, RunId } from "../runtime/event.ts";
import {
  definePolicy,
  type Moment,
  NEVER,
  type Policy,
  type PolicyContext,
  type Prediction,
  type Predictor,
  type PrefixSubject,
  type Scored,
} from "../runtime/policy.ts";

const options = z.strictObject({
  prefetch: z.boolean().default(true).describe("Fetch the prefixes of predicted next agents ahead of time."),
  wasteWeight: z
    .number()
    .min(0)
    .default(1)
    .describe(
      "Cost of one token prefetched in vain while the engine is busy, in tokens saved; higher prefetches less. An idle engine computes for nothing.",
    ),
  maxPerRun: z.number().int().positive().default(2).describe("Most prefixes prefetched ahead for one run."),
  refreshStep: z
    .number()
    .min(0)
    .max(1)
    .default(0.02)
    .describe("A prefix's value is sent again when it has changed by at least this much."),
});

type Options = z.output<typeof options>;
type Outlook = ReturnType<Predictor["outlook"]>;

/** Places in a prompt are given in characters; for the middle of one an average is good enough. */
const CHARACTERS_PER_TOKEN = 4;
const NONE: readonly never[] = [];
/** Prefetched requests over which is averaged how many find what was fetched for them. */
const REQUESTS = 32;
/** A prefetch was found when so much of it was cached: token counts are estimates, and a part is worth something too. */
const FOUND = 0.7;

/**
 * Keeps the right KV prefixes and brings them early (CacheSage, after https://arxiv.org/abs/2605.27744).
 *
 * Every live prefix is retained at the value of its expected reuse and released when its run ends. When an
 * agent starts, the prefixes of the probable next agents are fetched: anchor plus the history known so far.
 */
export default definePolicy({
  name: "prefix-cache",
  description: "The right prefixes stay, and come early",
  subject: "prefix",
  actions: ["retain", "release", "prefetch", "cancel"],
  options,
  create: (context): Policy<"prefix"> => new PrefixCache(context),
});

class PrefixCache implements Policy<"prefix"> {
  readonly #context: PolicyContext<Options>;
  /** Values last sent, by run (undefined: anchors) and agent: unchanged ones are not sent again. */
  readonly #sent = new Map<RunId | undefined, Map<AgentId, number>>();
  /** Prefetched and not yet used or withdrawn; the bound is that of all policies. */
  readonly #ahead = new AheadBudget(Number.POSITIVE_INFINITY);
  /** Tokens that the request under way was expected to find in cache, by run; 0: it was not prefetched. */
  readonly #awaited = new Map<RunId, number>();
  #awaitedRequests = 0;
  /** Share of these that found it, an exponential average. */
  #inTime = 0;
  readonly #busy = new BusyShare();

  constructor(context: PolicyContext<Options>) {
    this.#context = context;
  }

  observe(event: Event): void {
    if (event.type === "request-start") this.#busy.started(event.at);
    else if (event.type === "request-end") this.#busy.ended(event.at);
    if (event.type === "request-start")
      this.#awaited.set(event.run, this.#ahead.of(event.run, event.agent, "prefetch"));
    else if (event.type === "run-end") this.#awaited.delete(event.run);
    else if (event.type === "request-end" && event.usage?.cachedTokens !== undefined) {
      const awaited = this.#awaited.get(event.run) ?? 0;
      if (awaited === 0) return;
      const found = event.usage.cachedTokens >= FOUND * awaited;
      this.#awaitedRequests = Math.min(REQUESTS, this.#awaitedRequests + 1);
      this.#inTime += (Number(found) - this.#inTime) / (1 + this.#awaitedRequests);
    }
  }

  score(prefix: PrefixSubject): number {
    const { predictor, prefixes } = this.#context;
    const { agent, run, tokens } = prefix;
    // What was fetched for it is as its next request will be.
    const isAhead = run !== undefined && this.#ahead.of(run, agent, "prefetch") > 0;
    // One value for the whole prefix: that of the middle of its history, so that a history that is dropped counts little.
    const history = isAhead ? 0 : Math.max(0, tokens - (prefixes.anchor(agent)?.tokens ?? 0));
    const fromEnd = history === 0 ? Number.POSITIVE_INFINITY : (history / 2) * CHARACTERS_PER_TOKEN;
    return predictor.reuse(prefix, fromEnd, this.#inTime);
  }

  act(
    ranked: readonly Scored<"prefix">[],
    predictions: readonly Prediction[],
    moment: Moment,
  ): readonly Action[] {
    const { event, run, gone } = moment;
    const { predictor, prefixes } = this.#context;
    const actions: Action[] = [];
    for (const prefix of gone) {
      const sent = this.#sent.get(prefix.run);
      sent?.delete(prefix.agent);
      if (sent?.size === 0) this.#sent.delete(prefix.run);
      actions.push({ type: "release", prefix });
    }
    if (event.type === "run-end") this.#sent.delete(run);
    const outlook = predictor.outlook(run);
    if (ranked.length > 0) {
      const own = this.#sentOf(run);
      for (const { item, score } of ranked) this.#retain(item, score, outlook, own, actions);
    }
    // Where a run stands tells about the anchors of all agents, not only of its own.
    const shared = this.#sentOf(undefined);
    for (const anchor of prefixes.anchors())
      this.#retain(anchor, predictor.reuse(anchor), NONE, shared, actions);
    if (event.type === "run-end") this.#withdraw(moment, NONE, actions);
    else if (event.type === "next-agents") this.#withdraw(moment, agentsOf(predictions), actions);
    else {
      if (event.type === "request-start") this.#ahead.giveBack(run, event.agent, "prefetch");
      const wanted = this.#plan(predictions, outlook, moment);
      this.#withdraw(
        moment,
        wanted.map(({ prefix }) => prefix.agent),
        actions,
      );
      actions.push(...wanted);
    }
    return actions;
  }

  settled(hint: Advice, outcome: Settlement): void {
    this.#ahead.settle(hint, outcome);
  }

  #sentOf(run: RunId | undefined): Map<AgentId, number> {
    let sent = this.#sent.get(run);
    if (!sent) this.#sent.set(run, (sent = new Map()));
    return sent;
  }

  #retain(
    { agent, run }: PrefixRef,
    value: number,
    outlook: Outlook,
    sent: Map<AgentId, number>,
    actions: Action[],
  ): void {
    const before = sent.get(agent);
    // Where the value depends on the time, it does from this moment on.
    const isKnown = before !== undefined && Math.abs(before - value) < this.#context.options.refreshStep;
    if (isKnown && outlook.length === 0) return;
    sent.set(agent, value);
    const prefix = run === undefined ? { agent } : { agent, run };
    actions.push(
      changes(value, outlook) ? new Retain(prefix, value, outlook) : { type: "retain", prefix, value },
    );
  }

  /** The prefetches worth their tokens, most probable first. */
  #plan(
    predictions: readonly Prediction[],
    outlook: Outlook,
    { event, run }: Moment,
  ): readonly PrefetchHint[] {
    const { options: limits, predictor, prefixes } = this.#context;
    const plan: PrefetchHint[] = [];
    if (!limits.prefetch) return plan;
    const current = "agent" in event ? event.agent : undefined;
    const latest = newest(prefixes.of(run));
    const history = latest ? Math.max(0, latest.tokens - (prefixes.anchor(latest.agent)?.tokens ?? 0)) : 0;
    const cost = limits.wasteWeight * this.#busy.at(event.at);
    for (const { agent, probability } of predictions) {
      if (plan.length >= limits.maxPerRun) break;
      const anchor = prefixes.anchor(agent);
      // The agent at work has its own prefix in cache already.
      if (agent === current || !anchor || !latest) continue;
      const tokens = anchor.tokens + Math.round(history * predictor.sharedHistory(agent));
      // An anchor that nobody has used yet is not fetched in vain: other runs will come to it.
      const vain = anchor.usedAt === NEVER ? tokens - anchor.tokens : tokens;
      const worth = probability * tokens >= cost * (1 - probability) * vain;
      const prefix: PrefixRef = { agent, run };
      if (!worth) continue;
      const value = predictor.reuse(prefix, undefined, this.#inTime);
      // Half of the time in which the run is not back is left for the engine to compute it.
      const afterMs = predictor.soonest(run) / 2;
      const hint: PrefetchHint = {
        type: "prefetch",
        prefix,
        value,
        ...(changes(value, outlook) && { later: laterOf(value, outlook) }),
        probability,
        tokens,
        ...(afterMs > 0 && { afterMs }),
      };
      this.#ahead.take(hint, event.at);
      plan.push(hint);
    }
    return plan;
  }

  /** Cancels what was fetched for a run's agents that are not wanted any more, and lets go of what it brought. */
  #withdraw({ run, gone }: Moment, wanted: readonly AgentId[], actions: Action[]): void {
    for (const agent of this.#ahead.agents(run)) {
      if (wanted.includes(agent)) continue;
      this.#ahead.giveBack(run, agent, "prefetch");
      const prefix: PrefixRef = { agent, run };
      actions.push({ type: "cancel", prefix });
      const isIts = (live: PrefixRef) => live.agent === agent;
      if (!this.#context.prefixes.of(run).some(isIts) && !gone.some(isIts))
        actions.push({ type: "release", prefix });
    }
  }
}

/** Later values are computed where they are asked for: the ledger keeps thousands of these, and few ever leave. */
class Retain implements RetainHint {
  readonly type = "retain";
  readonly prefix: PrefixRef;
  readonly value: number;
  /** That of a decision, which all its hints share. */
  readonly #outlook: Outlook;

  constructor(prefix: PrefixRef, value: number, outlook: Outlook) {
    this.prefix = prefix;
    this.value = value;
    this.#outlook = outlook;
  }

  get later(): LaterValues {
    return laterOf(this.value, this.#outlook);
  }
}

function changes(value: number, outlook: Outlook): boolean {
  return outlook.length > 0 && value < 1;
}

/** Scales the rate r that a value r/(1+r) stands for. */
function laterOf(value: number, outlook: Outlook): LaterValues {
  const rate = value / (1 - value);
  return outlook.map(([afterMs, factor]) => [afterMs, (rate * factor) / (1 + rate * factor)]);
}

function agentsOf(predictions: readonly Prediction[]): readonly AgentId[] {
  return predictions.map(({ agent }) => agent);
}

/** The prefix used last: it carries most of the run's history. */
function newest(prefixes: readonly PrefixSubject[]): PrefixSubject | undefined {
  let latest: PrefixSubject | undefined;
  for (const prefix of prefixes) if (!latest || prefix.usedAt >= latest.usedAt) latest = prefix;
  return latest;
}
