import { AnchorVariants } from "./anchor-variants.ts";
import { rounded } from "./state.ts";

/** Calls over which arrival rates are averaged: old counts are halved when this many have been seen. */
const WINDOW = 4096;
/** Characters a token stands for before any usage was reported; English text and JSON in BPE vocabularies. */
const CHARACTERS_PER_TOKEN = 4;

/** What is known of one agent's prompts. */
interface Prompts {
  calls: number;
  /** Calls of all agents up to its latest one. */
  calledAt: number;
  /** Sums and numbers of samples of shares in [0, 1]. */
  shared: number;
  sharedSamples: number;
  readonly variants: AnchorVariants;
}

/** Everything counted here, as flat numbers per agent index. */
export interface AnchorState {
  /** `[agent index, calls, shared, sharedSamples]` */
  readonly agents: (readonly [number, number, number, number])[];
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

  called(agent: number): void {
    const caller = this.#own(agent);
    caller.calls++;
    caller.calledAt = ++this.#clock;
    if (++this.#total < WINDOW) return;
    this.#total = 0;
    for (const own of this.#agents) if (own) this.#total += own.calls /= 2;
  }

  /**
   * Value of keeping an anchor, in [0, 1]: r/(1+r), r the uses that runs make of it in one round of all open runs.
   *
   * @param hash the anchor; default: the agent's latest.
   * @param arrivals open runs that are expected to use it at their next step.
   * @param openRuns in the long run each of them calls it at its share of all calls.
   */
  value(agent: number, hash: string | undefined, arrivals: number, openRuns: number): number {
    const own = this.#agents[agent];
    if (!own) return 0;
    const frequency = this.#total === 0 ? 0 : own.calls / this.#total;
    // What has not been called for longer than usual is called more rarely by now.
    const longRun = Math.min(frequency, 1 / (1 + this.#clock - own.calledAt)) * openRuns;
    return rateToValue(own.variants.share(hash ?? own.variants.latest) * Math.max(arrivals, longRun));
  }

  /** The agent was called right after another one; its prompt begins with this share of that one's history. */
  followed(agent: number, share: number): void {
    const own = this.#own(agent);
    own.shared += share;
    own.sharedSamples++;
  }

  /** A run calls the agent for the first time, with this anchor. */
  visited(agent: number, hash: string): void {
    this.#own(agent).variants.used(hash);
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
    const agents = [...this.#agents.entries()].flatMap(([agent, own]) =>
      own ? [[agent, rounded(own.calls), rounded(own.shared), rounded(own.sharedSamples)] as const] : [],
    );
    return { agents, characters: this.#characters, tokens: this.#tokens };
  }

  add({ agents, characters, tokens }: AnchorState): void {
    for (const [agent, calls, shared, sharedSamples] of agents) {
      const own = this.#own(agent);
      own.calls += calls;
      own.shared += shared;
      own.sharedSamples += sharedSamples;
      this.#total += calls;
    }
    this.#characters += characters;
    this.#tokens += tokens;
  }

  #own(agent: number): Prompts {
    return (this.#agents[agent] ??= {
      calls: 0,
      calledAt: this.#clock,
      shared: 0,
      sharedSamples: 0,
      variants: new AnchorVariants(),
    });
  }
}

/** Turns expected uses per step, at most 1 for a run's own prefix and unbounded for a shared one, into a value in [0, 1]. */
export function rateToValue(rate: number): number {
  return rate / (1 + rate);
}
