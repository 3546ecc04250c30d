import { CHARACTERS_PER_TOKEN } from "../runtime/prompt-text.ts";
import { type AnchorVariant, AnchorVariants } from "./anchor-variants.ts";
import { rateToValue } from "./value.ts";
import { rounded } from "./state.ts";

/** Names what an agent's anchors all begin with: a user's name or the date may stand at their end. */
export const ANY_ANCHOR = "";

/** Calls over which arrival rates are averaged: old counts are halved when this many have been seen. */
const WINDOW = 4096;

/** What is known of one agent's prompts. */
interface Prompts {
  calls: number;
  /** Of these, the first ones of their runs. */
  opening: number;
  /** Calls of all agents up to the latest one of these. */
  openedAt: number;
  /** Calls of all agents up to its latest one. */
  calledAt: number;
  /** Sums and numbers of samples of shares in [0, 1]. */
  shared: number;
  sharedSamples: number;
  readonly variants: AnchorVariants;
  /** Open runs that have called the agent, and how many of these and of the others are expected to call it at their next step. */
  openRuns: number;
  returning: number;
  arrivals: number;
  /** How often runs called the agent again, and their steps since they first did. */
  returns: number;
  steps: number;
}

/** Everything counted here, as flat numbers per agent index. */
export interface AnchorState {
  /** `[agent index, calls, shared, sharedSamples, opening]`; before `opening` was counted there were four. */
  readonly agents: (readonly [number, number, number, number, (number | undefined)?])[];
  readonly characters: number;
  readonly tokens: number;
}

/** What prompts have in common: how often each anchor is used, and how much history survives or is shared. */
export class Anchors {
  /** By agent index. */
  readonly #agents: (Prompts | undefined)[] = [];
  #total = 0;
  /** Calls of all agents so far. */
  #clock = 0;
  #characters = 0;
  #tokens = 0;

  /** @param opens the call is the first of its run. */
  called(agent: number, opens = false): void {
    const caller = this.#own(agent);
    caller.calls++;
    caller.calledAt = ++this.#clock;
    if (opens) {
      caller.opening++;
      caller.openedAt = this.#clock;
    }
    if (++this.#total < WINDOW) return;
    this.#total = 0;
    for (const own of this.#agents) {
      if (!own) continue;
      this.#total += own.calls /= 2;
      own.opening /= 2;
    }
  }

  /**
   * Value of keeping an anchor, in [0, 1]: r/(1+r), r the uses that runs make of it in one round of all open runs.
   *
   * Runs that have called the agent are expected to come with the same anchor again, others with each at its share. The
   * better rate counts: that of their next step, which is forecast, or that of the long run, in which those that know the
   * agent call it at its rate of returns, and the others at its share of all calls. Of those that know it one is left out in
   * the long run: its own prefix, which the anchor is a part of, has a better forecast.
   *
   * @param hash the anchor, or ANY_ANCHOR; default: the agent's latest.
   */
  value(agent: number, hash: string | undefined, openRuns: number): number {
    const own = this.#agents[agent];
    if (!own || this.#total === 0) return 0;
    const isAny = hash === ANY_ANCHOR;
    const variant = isAny ? undefined : own.variants.find(hash ?? own.variants.latest);
    const share = isAny ? 1 : own.variants.share(variant);
    const known = (isAny ? own.openRuns : variant?.openRuns) ?? 0;
    const arrivals = ((isAny ? own.returning : variant?.arrivals) ?? 0) + share * own.arrivals;
    const again = (Math.max(0, known - 1) * own.returns) / Math.max(1, own.steps);
    const first = share * Math.max(0, openRuns - own.openRuns) * this.#shareOf(own.calls, own.calledAt);
    const opening = share * openRuns * this.#shareOf(own.opening, own.openedAt);
    return rateToValue(Math.max(arrivals, again + first) + opening);
  }

  /** What the agent's first call will begin with is known. */
  declare(agent: number, hash: string): void {
    this.#own(agent).variants.declare(hash);
  }

  /** An open run is expected to call the agent at its next step. @param variant the anchor of its latest call, if there was one. */
  arrive(agent: number, variant: AnchorVariant | undefined, probability: number): void {
    const own = this.#own(agent);
    const target = variant ?? own;
    // Rounding may leave a trace below zero when the last run has gone.
    target.arrivals = Math.max(0, target.arrivals + probability);
    if (variant) own.returning = Math.max(0, own.returning + probability);
  }

  /** An open run calls the agent with this anchor. @param before the anchor of its call before, if there was one. */
  used(agent: number, hash: string, before: AnchorVariant | undefined): AnchorVariant {
    if (before?.hash === hash) return before;
    const own = this.#own(agent);
    const variant = own.variants.used(hash);
    variant.openRuns++;
    if (before) before.openRuns--;
    else own.openRuns++;
    return variant;
  }

  /** So many steps after its last call of the agent a run calls it again, or ends. */
  away(agent: number, steps: number, returns: boolean): void {
    const own = this.#own(agent);
    own.steps += steps;
    if (returns) own.returns++;
    if (own.steps < WINDOW) return;
    own.steps /= 2;
    own.returns /= 2;
  }

  /** A run calls the agent for the first time. */
  visited(agent: number, variant: AnchorVariant): void {
    this.#own(agent).variants.visited(variant);
  }

  /** A run that called the agent last with this anchor has ended. */
  left(agent: number, variant: AnchorVariant): void {
    variant.openRuns = Math.max(0, variant.openRuns - 1);
    const own = this.#own(agent);
    own.openRuns = Math.max(0, own.openRuns - 1);
  }

  /** The agent was called right after another one; its prompt begins with this share of that one's history. */
  followed(agent: number, share: number): void {
    const own = this.#own(agent);
    own.shared += share;
    own.sharedSamples++;
  }

  /** Expected share of the previous agent's history that the agent sees as well; 1/2 before anything is known. */
  shared(agent: number): number {
    const own = this.#agents[agent];
    return own ? (own.shared + 0.5) / (own.sharedSamples + 1) : 0.5;
  }

  usage(characters: number, tokens: number): void {
    if (!(characters > 0) || !(tokens > 0)) return;
    this.#characters += characters;
    this.#tokens += tokens;
  }

  tokens(characters: number): number {
    const ratio = this.#tokens > 0 ? this.#characters / this.#tokens : CHARACTERS_PER_TOKEN;
    return Math.ceil(characters / ratio);
  }

  snapshot(): AnchorState {
    const agents = [...this.#agents.entries()].flatMap(([agent, own]) => (own ? [counted(agent, own)] : []));
    return { agents, characters: this.#characters, tokens: this.#tokens };
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore({ agents, characters, tokens }: AnchorState, local: (agent: number) => number): void {
    for (const [agent, calls, shared, sharedSamples, opening = 0] of agents) {
      const own = this.#own(local(agent));
      own.calls += calls;
      own.opening += opening;
      own.shared += shared;
      own.sharedSamples += sharedSamples;
      this.#total += calls;
    }
    this.#characters += characters;
    this.#tokens += tokens;
  }

  /** Share of all calls that such calls are; what has not come for longer than usual comes more rarely by now. */
  #shareOf(calls: number, latest: number): number {
    return Math.min(calls / this.#total, 1 / (1 + this.#clock - latest));
  }

  #own(agent: number): Prompts {
    return (this.#agents[agent] ??= {
      calls: 0,
      opening: 0,
      openedAt: this.#clock,
      calledAt: this.#clock,
      shared: 0,
      sharedSamples: 0,
      variants: new AnchorVariants(),
      openRuns: 0,
      returning: 0,
      arrivals: 0,
      returns: 0,
      steps: 0,
    });
  }
}

function counted(
  agent: number,
  { calls, shared, sharedSamples, opening }: Prompts,
): AnchorState["agents"][number] {
  return [agent, rounded(calls), rounded(shared), rounded(sharedSamples), rounded(opening)];
}
