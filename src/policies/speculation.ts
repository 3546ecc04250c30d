import { LRUCache } from "lru-cache";
import { z } from "zod";
import {
  type Action,
  type Advice,
  type PrefetchHint,
  promptOf,
  type Settlement,
  type SpeculateHint,
} from "../runtime/action.ts";
import type {
  AgentId,
  Event,
  NextAgentsEvent,
  RequestEndEvent,
  RequestStartEvent,
  RunId,
} from "../runtime/event.ts";
import { newest } from "../runtime/live-prefixes.ts";
import {
  definePolicy,
  type Moment,
  type Policy,
  type PolicyContext,
  type Prediction,
  type Scored,
} from "../runtime/policy.ts";

const options = z.strictObject({
  nodes: z
    .array(z.string())
    .default([])
    .describe(
      "Agents that may run for nothing: all that their node does is to return something that depends on its input alone. Those that `wrapNode` marks `sideEffectFree` need not be named.",
    ),
  minProbability: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      "Least probability that the result is used; below one half it is more likely to be in the way.",
    ),
  tokensPerSecond: z
    .number()
    .nonnegative()
    .default(1000)
    .describe("Tokens that one second saved may cost in vain, on average."),
  wasteShare: z
    .number()
    .nonnegative()
    .default(0.2)
    .describe("Most tokens spent in vain, as a share of those of all model calls."),
  overlapCalls: z
    .boolean()
    .default(true)
    .describe(
      "Start while the model call of the agent before is under way. false: only after it, for engines on which two calls take as long together as one after the other, such as one on a few CPU cores.",
    ),
  warm: z
    .boolean()
    .default(true)
    .describe("Prefetch the prefix of a probable next agent whose node must not run early."),
});

type Options = z.output<typeof options>;

const MAX_RUNS = 10_000;
const MAX_PAIRS = 10_000;
/** Weight of the newest of many observations. */
const NEWEST = 0.1;
/** A pair starts with this many runs that came out well, so that one that did not is no verdict. */
const BENEFIT_OF_DOUBT = 2;

/** What an activation of an agent takes, on average. */
interface Cost {
  count: number;
  ms: number;
  /** From the end of its last model call to its own end. */
  tailMs: number;
  tokens: number;
}

/** What became of running `to` while `from` was at work. */
interface Pair {
  /** Times that the run really went there. */
  seen: number;
  used: number;
  /** It was started with a state that `from` then changed, or it could not run early at all. */
  spoilt: number;
}

interface Activation {
  readonly since: number;
  answeredAt: number;
  tokens: number;
  /** It ran early, so that its time is not what it takes. */
  isEarly: boolean;
}

interface RunState {
  readonly active: Map<AgentId, Activation>;
  readonly early: Set<AgentId>;
  readonly warmed: Set<AgentId>;
}

/**
 * While an agent decides who is next, the probable next one already runs.
 *
 * Speculative execution is one of the policies that https://arxiv.org/abs/2605.27744 names; its working out is ours. A node runs
 * early only where it may run for nothing, has been seen to
 * follow, and is worth it: the tokens lost on average, (1 - p) times those of the agent, are weighed against the time saved
 * on average, p times the shorter of both agents' times. p is the probability that the run goes there, times how often an
 * early run of this pair could be used then.
 */
export default definePolicy({
  name: "speculation",
  description: "The probable next agent runs while the one before it decides",
  subject: "prefix",
  actions: ["speculate", "prefetch", "cancel"],
  options,
  create: (context): Policy<"prefix"> => new Speculation(context),
});

class Speculation implements Policy<"prefix"> {
  readonly #context: PolicyContext<Options>;
  readonly #free: Set<AgentId>;
  readonly #costs = new Map<AgentId, Cost>();
  readonly #pairs = new Map<AgentId, Map<AgentId, Pair>>();
  #pairCount = 0;
  readonly #runs = new LRUCache<RunId, RunState>({ max: MAX_RUNS });
  /** Tokens of all model calls, of early runs in vain, and expected of those under way. */
  #spent = 0;
  #lost = 0;
  #atRisk = 0;

  constructor(context: PolicyContext<Options>) {
    this.#context = context;
    this.#free = new Set(context.options.nodes);
  }

  observe(event: Event): void {
    switch (event.type) {
      case "topology":
        for (const agent of event.free ?? []) if (this.#free.size < MAX_PAIRS) this.#free.add(agent);
        return;
      case "agent-start":
        this.#run(event.run).active.set(event.agent, {
          since: event.at,
          answeredAt: event.at,
          tokens: 0,
          isEarly: false,
        });
        return;
      case "request-end": {
        const tokens = this.#tokensOf(event);
        this.#spent += tokens;
        const active = this.#runs.get(event.run)?.active.get(event.agent);
        if (!active) return;
        active.tokens += tokens;
        active.answeredAt = event.at;
        return;
      }
      case "agent-end": {
        const { active } = this.#run(event.run);
        const ended = active.get(event.agent);
        active.delete(event.agent);
        if (ended && event.status === "completed") this.#learn(event.agent, ended, event.at);
        return;
      }
      case "next-agents":
        // What the app says beforehand is told again when LangGraph gives it away.
        if (event.source === "app") return;
        for (const agent of event.agents) {
          const pair = this.#pair(event.from, agent);
          if (pair) pair.seen++;
        }
        return;
      default:
        return;
    }
  }

  act(
    _ranked: readonly Scored<"prefix">[],
    predictions: readonly Prediction[],
    { event }: Moment,
  ): readonly Action[] {
    switch (event.type) {
      case "request-start":
      case "request-end":
        return (event.type === "request-start") === this.#context.options.overlapCalls
          ? this.#ahead(event, predictions)
          : [];
      case "next-agents":
        return this.#withdraw(event);
      case "run-end":
        this.#runs.delete(event.run);
        return [];
      default:
        return [];
    }
  }

  settled(hint: Advice, outcome: Settlement): void {
    if (hint.type !== "speculate") return;
    const { status } = outcome;
    const { run, agent } = hint.prefix;
    this.#atRisk -= expectedLoss(hint);
    const state = this.#runs.get(run);
    state?.early.delete(agent);
    const pair = this.#pair(hint.from, agent);
    if (status === "applied") {
      const active = state?.active.get(agent);
      if (active) active.isEarly = true;
      if (pair) pair.used++;
      return;
    }
    // It was never started.
    if (status === "dropped") return;
    this.#lost += outcome.tokens ?? 0;
    // That the run went elsewhere is in the probability already.
    if (status !== "cancelled" && pair) pair.spoilt++;
  }

  #ahead(event: RequestStartEvent | RequestEndEvent, predictions: readonly Prediction[]): readonly Action[] {
    const next = predictions.find(({ agent }) => agent !== event.agent);
    if (!next || next.probability < this.#context.options.minProbability) return [];
    const state = this.#run(event.run);
    if (state.early.has(next.agent)) return [];
    const early = this.#free.has(next.agent) ? this.#speculate(event, next) : undefined;
    if (early) {
      state.early.add(next.agent);
      this.#atRisk += expectedLoss(early);
      return [early];
    }
    const warm = this.#context.options.warm ? this.#prefetch(event.run, next) : undefined;
    if (!warm) return [];
    state.warmed.add(next.agent);
    return [warm];
  }

  #speculate(
    { run, agent: from }: RequestStartEvent | RequestEndEvent,
    { agent, probability }: Prediction,
  ): SpeculateHint | undefined {
    const { minProbability, tokensPerSecond, wasteShare, overlapCalls } = this.#context.options;
    const pair = this.#pairs.get(from)?.get(agent);
    const [cost, before] = [this.#costs.get(agent), this.#costs.get(from)];
    if (!pair || pair.seen === 0 || !cost || !before) return undefined;
    const { used, spoilt } = pair;
    const chance = (probability * (used + BENEFIT_OF_DOUBT)) / (used + spoilt + BENEFIT_OF_DOUBT);
    if (chance < minProbability) return undefined;
    const hint: SpeculateHint = {
      type: "speculate",
      prefix: { agent, run },
      from,
      probability: chance,
      tokens: Math.round(cost.tokens),
    };
    const loss = expectedLoss(hint);
    const savedMs = chance * Math.min(cost.ms, overlapCalls ? before.ms : before.tailMs);
    if (loss * 1000 > savedMs * tokensPerSecond) return undefined;
    if (this.#lost + this.#atRisk + loss > wasteShare * this.#spent) return undefined;
    return hint;
  }

  #prefetch(run: RunId, { agent, probability }: Prediction): PrefetchHint | undefined {
    const { prefixes, predictor } = this.#context;
    const anchor = prefixes.anchor(agent);
    if (!anchor) return undefined;
    const prefix = promptOf(agent, run, predictor.nextBranch(run, agent));
    const value = predictor.reuse(prefix);
    return { type: "prefetch", prefix, value, probability, tokens: anchor.tokens };
  }

  #withdraw({ run, agents }: NextAgentsEvent): readonly Action[] {
    const warmed = this.#runs.get(run)?.warmed;
    if (!warmed || warmed.size === 0) return [];
    const wrong = [...warmed].filter((agent) => !agents.includes(agent));
    warmed.clear();
    return wrong.map((agent) => ({ type: "cancel", prefix: { agent, run } }));
  }

  /** Where the server does not say, of the prompt only, estimated. */
  #tokensOf({ run, agent, usage }: RequestEndEvent): number {
    const known = newest(this.#context.prefixes.of(run), agent);
    return (usage?.promptTokens ?? known?.tokens ?? 0) + (usage?.outputTokens ?? 0);
  }

  #learn(agent: AgentId, { since, answeredAt, tokens, isEarly }: Activation, now: number): void {
    const [ms, tailMs] = [now - since, now - answeredAt];
    const cost = this.#costs.get(agent);
    if (!cost) {
      if (!isEarly && this.#costs.size < MAX_PAIRS) this.#costs.set(agent, { count: 1, ms, tailMs, tokens });
      return;
    }
    const weight = Math.max(NEWEST, 1 / ++cost.count);
    cost.tokens += weight * (tokens - cost.tokens);
    if (isEarly) return;
    cost.ms += weight * (ms - cost.ms);
    cost.tailMs += weight * (tailMs - cost.tailMs);
  }

  #run(run: RunId): RunState {
    let state = this.#runs.get(run);
    if (!state) {
      state = { active: new Map(), early: new Set(), warmed: new Set() };
      this.#runs.set(run, state);
    }
    return state;
  }

  /** Undefined when there are too many to keep count. */
  #pair(from: AgentId, to: AgentId): Pair | undefined {
    let row = this.#pairs.get(from);
    const known = row?.get(to);
    if (known || this.#pairCount >= MAX_PAIRS) return known;
    if (!row) this.#pairs.set(from, (row = new Map()));
    const pair: Pair = { seen: 0, used: 0, spoilt: 0 };
    row.set(to, pair);
    this.#pairCount++;
    return pair;
  }
}

function expectedLoss({ probability, tokens }: SpeculateHint): number {
  return (1 - probability) * tokens;
}
