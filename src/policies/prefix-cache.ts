import { z } from "zod";
import { ANY_ANCHOR } from "../learn/anchors.ts";
import { BusyShare } from "../learn/busy-share.ts";
import { RunningShare } from "../learn/running-share.ts";
import {
  type Action,
  type Advice,
  branchName,
  type LaterValues,
  type PrefetchHint,
  type PrefixRef,
  promptOf,
  type RetainHint,
  type Settlement,
  type TailValue,
} from "../runtime/action.ts";
import { AheadBudget } from "../runtime/ahead-budget.ts";
import type { AgentId, Event, RequestEndEvent, RunId } from "../runtime/event.ts";
import { newest } from "../runtime/live-prefixes.ts";
import { Newest } from "../runtime/newest.ts";
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
});

type Options = z.output<typeof options>;
type Outlook = ReturnType<Predictor["outlook"]>;

const NONE: readonly never[] = [];
/** Characters over which is told how many a token has. */
const MANY = 1 << 20;
/** Runs of which something is remembered; the end of some is never seen. */
const MAX_RUNS = 10_000;
/** Requests over which is averaged what they find in cache. */
const REQUESTS = 32;
/** An agent that has just answered is fetched again when so many of its tokens are likely to go before it returns. */
const WORTH_FETCHING_AGAIN = 64;
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
  /** Values last sent, by the prefix's own run (undefined: anchors) and branch: unchanged ones are not sent again. */
  readonly #sent = new Map<RunId | undefined, Map<string, RetainHint>>();
  /** Prefetched and not yet used or withdrawn; the bound is that of all policies. */
  readonly #ahead = new AheadBudget(Number.POSITIVE_INFINITY);
  /** Tokens that the request under way was expected to find in cache, by run; 0: it was not prefetched. */
  readonly #awaited = new Newest<RunId, number>(MAX_RUNS);
  /** Share of these that found it. */
  readonly #inTime = new RunningShare(REQUESTS);
  /** By run: the prompt answered last. */
  readonly #answered = new Newest<RunId, { readonly agent: AgentId; readonly tokens: number }>(MAX_RUNS);
  /** Share of an agent's prompt that is gone when it calls again next, or when it is fetched before that. */
  readonly #lost = new RunningShare(REQUESTS);
  readonly #busy = new BusyShare();

  constructor(context: PolicyContext<Options>) {
    this.#context = context;
  }

  observe(event: Event): void {
    if (event.type === "request-start") {
      this.#busy.started(event.at);
      this.#awaited.set(event.run, this.#ahead.of(event.run, event.agent, "prefetch"));
      this.#ahead.giveBack(event.run, event.agent, "prefetch");
    } else if (event.type === "request-end") {
      this.#busy.ended(event.at);
      this.#learn(event);
    } else if (event.type === "run-end") {
      this.#awaited.delete(event.run);
      this.#answered.delete(event.run);
    }
  }

  settled(hint: Advice, outcome: Settlement): void {
    // One that was sent and came to nothing was tried all the same: that is what `#inTime` is about.
    if (outcome.status === "dropped") this.#ahead.settle(hint, outcome);
    if (hint.type !== "prefetch" || outcome.status !== "applied" || outcome.tokens === undefined) return;
    const last = hint.prefix.run === undefined ? undefined : this.#answered.get(hint.prefix.run);
    // Of a prompt that was still there nothing had to be computed.
    if (last?.agent === hint.prefix.agent) this.#lost.add(Math.min(1, outcome.tokens / last.tokens));
  }

  #learn({ run, agent, usage }: RequestEndEvent): void {
    const last = this.#answered.get(run);
    if (usage?.promptTokens) this.#answered.set(run, { agent, tokens: usage.promptTokens });
    if (usage?.cachedTokens === undefined) return;
    const awaited = this.#awaited.get(run) ?? 0;
    if (awaited > 0) this.#inTime.add(Number(usage.cachedTokens >= FOUND * awaited));
    else if (last?.agent === agent) this.#lost.add(1 - Math.min(1, usage.cachedTokens / last.tokens));
  }

  /** The value of what stands before the prompt's tail: that of its middle. */
  score(prefix: PrefixSubject): number {
    const { predictor } = this.#context;
    const history = this.#charactersOf(prefix);
    const fromEnd =
      history === 0 ? Number.POSITIVE_INFINITY : (predictor.tail(prefix.agent, history) + history) / 2;
    return predictor.reuse(prefix, fromEnd, this.#inTime.value);
  }

  /** The prompt's tail, where that is worth less than `value`. */
  #tailOf(prefix: PrefixSubject, value: number, outlook: Outlook): TailValue | undefined {
    const { predictor } = this.#context;
    const characters = predictor.tail(prefix.agent, this.#charactersOf(prefix));
    if (characters === 0) return undefined;
    const own = predictor.reuse(prefix, characters / 2, this.#inTime.value);
    return own < value ? new Tail(predictor.tokens(characters), own, outlook) : undefined;
  }

  /** Characters of a prompt's history; none where it was fetched ahead, since it is then as the next request will be. */
  #charactersOf(prefix: PrefixSubject): number {
    const { agent, run, branch = 0 } = prefix;
    const { predictor } = this.#context;
    const isAhead =
      run !== undefined &&
      this.#ahead.of(run, agent, "prefetch") > 0 &&
      predictor.nextBranch(run, agent) === branch;
    return isAhead ? 0 : this.#historyCharacters(prefix);
  }

  #historyCharacters(prefix: PrefixSubject): number {
    return (this.#historyOf(prefix) * MANY) / this.#context.predictor.tokens(MANY);
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
      sent?.delete(branchName(prefix.agent, prefix.branch));
      if (sent?.size === 0) this.#sent.delete(prefix.run);
      actions.push({ type: "release", prefix });
    }
    if (event.type === "run-end") this.#sent.delete(run);
    const outlook = predictor.outlook(run);
    for (const { item, score } of ranked)
      this.#retain(item, score, outlook, this.#sentOf(item.run), actions, this.#tailOf(item, score, outlook));
    // Where a run stands tells about the anchors of all agents, not only of its own.
    const shared = this.#sentOf(undefined);
    for (const { agent } of prefixes.anchors()) {
      // The beginning of all its anchors, where they end with a user's name: other runs have no more than that in common.
      this.#retain({ agent }, predictor.reuse({ agent, anchor: ANY_ANCHOR }), NONE, shared, actions);
    }
    if (event.type === "run-end") this.#withdraw(moment, NONE, actions);
    else if (event.type === "next-agents" && event.source !== "app")
      this.#withdraw(moment, agentsOf(predictions), actions);
    else {
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

  #sentOf(run: RunId | undefined): Map<string, RetainHint> {
    let sent = this.#sent.get(run);
    if (!sent) this.#sent.set(run, (sent = new Map()));
    return sent;
  }

  #retain(
    { agent, run, branch }: PrefixRef,
    value: number,
    outlook: Outlook,
    sent: Map<string, RetainHint>,
    actions: Action[],
    tail?: TailValue,
  ): void {
    const name = branchName(agent, branch);
    const last = sent.get(name);
    const isSaid =
      last?.value === value && last.tail?.value === tail?.value && last.tail?.tokens === tail?.tokens;
    // Where the value depends on the time, it does from this moment on.
    if (isSaid && outlook.length === 0) return;
    const prefix = run === undefined ? { agent } : promptOf(agent, run, branch ?? 0);
    const hint: RetainHint =
      tail || changes(value, outlook)
        ? new Retain(prefix, value, outlook, tail)
        : { type: "retain", prefix, value };
    sent.set(name, hint);
    actions.push(hint);
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
    const current = "agent" in event ? event.agent : event.type === "next-agents" ? event.from : undefined;
    const live = prefixes.of(run);
    const latest = newest(live);
    const history = latest ? this.#historyOf(latest) : 0;
    const cost = limits.wasteWeight * this.#busy.at(event.at);
    for (const { agent, probability } of predictions) {
      if (plan.length >= limits.maxPerRun) break;
      const anchor = prefixes.anchor(agent);
      if (!anchor || !latest) continue;
      const branch = predictor.nextBranch(run, agent);
      const own = live.find((prefix) => prefix.agent === agent && (prefix.branch ?? 0) === branch);
      const isAgain = agent === current && branch === predictor.branch(run, agent);
      if (isAgain && !this.#goesMeanwhile(latest, event)) continue;
      const shared = predictor.sharedHistory(agent);
      const isShared = shared >= 0.5;
      const without = isShared || !own ? 0 : this.#hardlyKept(own);
      const known = isShared ? history * shared : this.#ownHistory(own, without);
      const tokens = isAgain && without === 0 ? latest.tokens : anchor.tokens + Math.round(known);
      // An anchor that nobody has used yet is not fetched in vain: other runs will come to it.
      const vain = anchor.usedAt === NEVER ? tokens - anchor.tokens : tokens;
      const worth = probability * tokens >= cost * (1 - probability) * vain;
      if (!worth) continue;
      const prefix = promptOf(agent, run, branch);
      const value = predictor.reuse(prefix, undefined, this.#inTime.value);
      // Half of the time in which the run is not back is left for the engine to compute it.
      const afterMs = predictor.soonest(run) / 2;
      const hint: PrefetchHint = {
        type: "prefetch",
        prefix,
        value,
        ...(changes(value, outlook) && { later: laterOf(value, outlook) }),
        probability,
        tokens,
        ...(without > 0 && { without }),
        ...(afterMs > 0 && { afterMs }),
      };
      this.#ahead.take(hint, event.at);
      plan.push(hint);
    }
    return plan;
  }

  /** The agent at work has its own prefix in cache; when it has answered, that may go before it calls again. */
  #goesMeanwhile({ tokens }: PrefixSubject, event: Event): boolean {
    return event.type !== "request-start" && tokens * this.#lost.value >= WORTH_FETCHING_AGAIN;
  }

  /** Tokens of a prefix after its anchor. */
  #historyOf({ agent, tokens }: PrefixSubject): number {
    return Math.max(0, tokens - (this.#context.prefixes.anchor(agent)?.tokens ?? 0));
  }

  /** Characters at a prompt's end that the agent's next one has less often than not. */
  #hardlyKept(own: PrefixSubject): number {
    const { predictor } = this.#context;
    const tail = predictor.tail(own.agent, this.#historyCharacters(own));
    return tail > 0 && predictor.keptHistory(own.agent, tail / 2) < 0.5 ? tail : 0;
  }

  /**
   * Tokens of its previous prompt in the run that an agent with a history of its own is expected to go on from.
   *
   * @param without characters at that prompt's end that are left out.
   */
  #ownHistory(own: PrefixSubject | undefined, without: number): number {
    if (own === undefined) return 0;
    const { predictor } = this.#context;
    const characters = this.#historyCharacters(own);
    const kept = predictor.keptHistory(own.agent, (without + characters) / 2);
    return predictor.tokens(Math.max(0, characters - without)) * kept;
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
class Lasting {
  readonly value: number;
  /** That of a decision, which all its hints share. */
  readonly #outlook: Outlook;

  constructor(value: number, outlook: Outlook) {
    this.value = value;
    this.#outlook = outlook;
  }

  get later(): LaterValues | undefined {
    return changes(this.value, this.#outlook) ? laterOf(this.value, this.#outlook) : undefined;
  }
}

class Retain extends Lasting implements RetainHint {
  readonly type = "retain";
  readonly prefix: PrefixRef;
  readonly tail: TailValue | undefined;

  constructor(prefix: PrefixRef, value: number, outlook: Outlook, tail: TailValue | undefined) {
    super(value, outlook);
    this.prefix = prefix;
    this.tail = tail;
  }
}

class Tail extends Lasting implements TailValue {
  readonly tokens: number;

  constructor(tokens: number, value: number, outlook: Outlook) {
    super(value, outlook);
    this.tokens = tokens;
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
