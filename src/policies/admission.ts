import { z } from "zod";
import { ConcurrencyLimit, limitState } from "../learn/concurrency-limit.ts";
import { FirstTokenTimes } from "../learn/first-token-times.ts";
import { RemainingCalls, remainingState } from "../learn/remaining-calls.ts";
import type { Action, Verdict } from "../runtime/action.ts";
import type { RequestSubject } from "../runtime/call.ts";
import type { Event, RunId } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import {
  definePolicy,
  type GateMoment,
  type Policy,
  type PolicyContext,
  type Prediction,
  type Scored,
} from "../runtime/policy.ts";

const limits = z.strictObject({
  initial: z
    .number()
    .int()
    .positive()
    .default(8)
    .describe("Model calls under way at once, before anything is measured."),
  min: z.number().int().positive().default(2).describe("Least calls under way at once that it goes down to."),
  max: z.number().int().positive().default(256).describe("Most calls under way at once that it goes up to."),
  tolerance: z
    .number()
    .min(1)
    .default(2)
    .describe(
      "Mean latency may be this many times that of an idle engine before fewer calls are let go at once.",
    ),
  reserved: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.15)
    .describe(
      "Share of that limit, and at least one, by which calls of a priority above 0.5 may go beyond it, while there are any.",
    ),
  headroom: z
    .number()
    .nonnegative()
    .default(0.5)
    .describe(
      "How much later, as a share, the first token of such a call may come because the prompts of others are computed before its own. One prompt at a time is computed in any case. Counts where the engine does not serve by priority itself.",
    ),
  maxWaiting: z
    .number()
    .int()
    .nonnegative()
    .default(1000)
    .describe("Calls that may wait; what comes on top, of least priority, is denied."),
  shedLate: z.boolean().default(true).describe("Deny a call whose deadline has passed instead of making it."),
  weight: z.number().positive().default(1).describe("Weight of its order among those of other policies."),
});

const options = limits.refine(({ min, max }) => min <= max, {
  path: ["min"],
  error: ({ input }) => {
    const { min, max } = input as z.output<typeof limits>;
    return `${min} calls at least and ${max} at most leave nothing: give a min of at most ${max}, or a greater max`;
  },
});

type Options = z.output<typeof options>;

const NO_PRIORITY = 0.5;
/** A call that its run does not wait for counts for so much less, at most: priorities that are given still order runs. */
const SLACK = 0.5;
/** Room is left for calls of high priority while one in so many is such a call. */
const URGENT_WITHIN = 1000;
/** Runs of which it is known which agents are at work. */
const MAX_RUNS = 10_000;
/** Agents and calls of one run of which that is known; the end of some is never seen. */
const MAX_OPEN = 10_000;
/** Of each new prompt in the mean of those of high priority. */
const RECENT = 0.1;
const state = limitState.extend({ remaining: remainingState.default([]) });

/**
 * Lets as many model calls go at once as the engine serves without getting slow, as its latency tells; the others wait, by priority.
 *
 * As long as there are calls of high priority, a place is left for the next one. An engine that serves by priority has it go first
 * among those that it has; no other is taken to stop a prompt that it has begun to compute, so that no more prompts of others
 * are let in at once than the next call of high priority may have to wait for; how long that is, is learned. Among calls of one
 * run, those on its critical path go first: the ones with the most calls still to come, for which the others will have to wait.
 * What orders the calls that wait orders those at the engine as well.
 */
export default definePolicy({
  name: "admission",
  description: "As many calls at once as the engine serves well; priorities, deadlines, shedding",
  subject: "request",
  actions: ["admit", "hold", "deny"],
  options,
  create: (context): Policy<"request"> => new Admission(context),
});

/** A call under way. */
interface Started {
  readonly at: number;
  readonly isUrgent: boolean;
  /** Of its prompt, and of all that were not answered yet when it was let go. */
  readonly tokens: number;
  readonly tokensBefore: number;
  isAnswered: boolean;
}

class Admission implements Policy<"request"> {
  readonly weight: number;
  readonly #options: Options;
  readonly #now: () => number;
  readonly #started = new Map<string, Started>();
  /** Prompt tokens of calls under way without a first token: all, and those of no high priority. */
  #tokensAhead = 0;
  #othersAhead = 0;
  /** Calls of high priority under way. */
  #urgentUnderWay = 0;
  readonly #times = new FirstTokenTimes();
  /** Calls since the last one of high priority, and the mean prompt of these. */
  #sinceUrgent = URGENT_WITHIN;
  #urgentTokens = 0;
  readonly #remaining = new RemainingCalls();
  /** Agents at work, and calls that wait or are under way, by run: how many calls are left with each. */
  readonly #open = new Map<string, Map<string, number>>();
  #isServedByPriority = false;
  readonly #limit: ConcurrencyLimit;

  constructor({ options: chosen, clock }: PolicyContext<Options>) {
    this.#options = chosen;
    this.weight = chosen.weight;
    this.#now = () => clock.now();
    this.#limit = new ConcurrencyLimit(chosen);
  }

  observe(event: Event): void {
    this.#remaining.observe(event);
    if (event.type === "agent-start")
      this.#openOf(event.run).set(event.activation, this.#remaining.of(event.agent));
    else if (event.type === "agent-end") this.#close(event.activation, event.run);
    else if (event.type === "request-first-token") {
      const call = this.#started.get(event.request);
      if (!call || call.isAnswered) return;
      this.#answered(call);
      const tokens = call.tokens + call.tokensBefore;
      const ms = Math.max(0, event.at - call.at);
      this.#times.add("", tokens, ms);
      this.#limit.firstToken(ms, this.#started.size, this.#tolerance);
    } else if (event.type === "request-end" && event.status === "completed") {
      const call = this.#started.get(event.request);
      const tokens = event.usage?.outputTokens ?? 0;
      if (call) this.#limit.answer(event.at - call.at, tokens, this.#started.size, this.#tolerance);
    }
  }

  score(call: RequestSubject): number {
    return (call.priority ?? NO_PRIORITY) * (1 - SLACK * this.#slack(call));
  }

  /** In [0, 1): 0 on the critical path of its run. */
  #slack({ id, run, agent }: RequestSubject): number {
    const open = this.#openOf(run);
    let own = open.get(id);
    if (own === undefined) open.set(id, (own = this.#remaining.of(agent)));
    if (open.size === 1) return 0;
    let longest = own;
    for (const calls of open.values()) if (calls > longest) longest = calls;
    return 1 - own / longest;
  }

  act(
    ranked: readonly Scored<"request">[],
    _predictions: readonly Prediction[],
    { now, underWay, workers, servesByPriority = false }: GateMoment,
  ): readonly Action[] {
    const { maxWaiting, shedLate, reserved } = this.#options;
    const limit = this.#limit.value;
    const isGuarded = this.#isGuarded;
    this.#isServedByPriority = servesByPriority;
    const extra = isGuarded ? Math.max(1, Math.floor(limit * reserved)) : 0;
    const servers = workers.length === 0 ? 1 : Math.max(1, workers.filter(({ isUp }) => isUp).length);
    let room = limit - underWay;
    // At such an engine the others give way to them.
    let urgentRoom = (servesByPriority ? limit - this.#urgentUnderWay : room) + extra;
    let ahead = this.#othersAhead;
    let waiting = 0;
    return ranked.map(({ item: call }): Action => {
      const leftMs = (call.deadline ?? Number.POSITIVE_INFINITY) - now;
      if (shedLate && leftMs <= 0) return { type: "deny", call, reason: "its deadline has passed" };
      const isFree = isUrgent(call)
        ? urgentRoom > 0
        : room > 0 && (!isGuarded || servesByPriority || this.#leavesHeadroom(ahead, call.tokens, servers));
      if (isFree) {
        room--;
        if (isUrgent(call) || !servesByPriority) urgentRoom--;
        if (!isUrgent(call)) ahead += call.tokens;
        return { type: "admit", call, priority: this.score(call) };
      }
      if (waiting++ >= maxWaiting)
        return { type: "deny", call, reason: `${maxWaiting} calls that go first are waiting already` };
      const reason =
        room > 0
          ? "a prompt is computed already, and a call of high priority may come"
          : "as many calls are under way as the engine serves well";
      return { type: "hold", call, forMs: shedLate ? leftMs : Number.POSITIVE_INFINITY, reason };
    });
  }

  decided(call: RequestSubject, { type }: Verdict): void {
    if (type !== "admit" && type !== "route") return this.#close(call.id, call.run);
    const urgent = isUrgent(call);
    this.#sinceUrgent = urgent ? 0 : this.#sinceUrgent + 1;
    if (urgent) {
      this.#urgentUnderWay++;
      this.#urgentTokens += (call.tokens - this.#urgentTokens) * (this.#urgentTokens === 0 ? 1 : RECENT);
    }
    this.#started.set(call.id, {
      at: this.#now(),
      isUrgent: urgent,
      tokens: call.tokens,
      tokensBefore: this.#tokensAhead,
      isAnswered: false,
    });
    this.#tokensAhead += call.tokens;
    if (!urgent) this.#othersAhead += call.tokens;
  }

  ended(call: RequestSubject): void {
    const started = this.#started.get(call.id);
    this.#started.delete(call.id);
    if (started) this.#answered(started);
    if (started?.isUrgent) this.#urgentUnderWay--;
    this.#close(call.id, call.run);
  }

  /** The limit, the latencies that it came from, and how long runs go on. */
  snapshot(): unknown {
    return { ...this.#limit.snapshot(), remaining: this.#remaining.snapshot() };
  }

  restore(given: unknown): void {
    const { remaining, ...limit } = state.parse(given);
    this.#remaining.restore(remaining);
    this.#limit.restore(limit);
  }

  /** Calls of high priority are to be expected. */
  get #isGuarded(): boolean {
    return this.#sinceUrgent < URGENT_WITHIN;
  }

  /** Whether a call of high priority that comes next would not have to wait too long for the prompts before it. */
  #leavesHeadroom(ahead: number, tokens: number, servers: number): boolean {
    if (ahead === 0) return true;
    const alone = this.#times.ms(this.#urgentTokens);
    const behind = this.#times.ms(this.#urgentTokens + (ahead + tokens) / servers);
    return behind <= alone * (1 + this.#options.headroom);
  }

  /** Its prompt is computed, or nobody waits for that any more. */
  #answered(call: Started): void {
    if (call.isAnswered) return;
    call.isAnswered = true;
    this.#tokensAhead -= call.tokens;
    if (!call.isUrgent) this.#othersAhead -= call.tokens;
    // Estimates are fractions, whose sums drift.
    if (this.#othersAhead < 1) this.#othersAhead = 0;
    if (this.#tokensAhead < 1) this.#tokensAhead = 0;
  }

  #openOf(run: RunId): Map<string, number> {
    let open = this.#open.get(run);
    if (open) return open;
    const oldest = this.#open.keys().next().value;
    if (this.#open.size >= MAX_RUNS && oldest !== undefined) this.#open.delete(oldest);
    this.#open.set(run, (open = new Newest(MAX_OPEN)));
    return open;
  }

  #close(id: string, run: RunId): void {
    const open = this.#open.get(run);
    open?.delete(id);
    if (open?.size === 0) this.#open.delete(run);
  }

  /** What comes later than that, although no more prompts are let in, waits for a place at the engine. */
  get #tolerance(): number {
    const { tolerance, headroom } = this.#options;
    return this.#isGuarded && !this.#isServedByPriority ? Math.min(tolerance, 1 + headroom) : tolerance;
  }
}

function isUrgent({ priority = NO_PRIORITY }: RequestSubject): boolean {
  return priority > NO_PRIORITY;
}
