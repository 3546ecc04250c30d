import type { PromptPart, PromptShape } from "../runtime/event.ts";

/** Calls over which arrival rates are averaged: old counts are halved when this many have been seen. */
const WINDOW = 4096;
/** Characters a token stands for before any usage was reported; English text and JSON in BPE vocabularies. */
const CHARACTERS_PER_TOKEN = 4;

/** What is known of one agent's prompts. */
interface Prompts {
  calls: number;
  /** Sums and numbers of samples of shares in [0, 1]. */
  shared: number;
  sharedSamples: number;
  kept: number;
  keptSamples: number;
}

/** Everything counted here, as flat numbers per agent index. */
export interface AnchorState {
  /** `[agent index, calls, shared, sharedSamples, kept, keptSamples]` */
  readonly agents: (readonly [number, number, number, number, number, number])[];
  readonly characters: number;
  readonly tokens: number;
}

/** What prompts have in common: how often each anchor is used, and how much history survives or is shared. */
export class Anchors {
  /** By agent index. */
  readonly #agents: (Prompts | undefined)[] = [];
  #total = 0;
  #characters = 0;
  #tokens = 0;

  called(agent: number): void {
    this.#own(agent).calls++;
    if (++this.#total < WINDOW) return;
    this.#total = 0;
    for (const own of this.#agents) if (own) this.#total += own.calls /= 2;
  }

  /**
   * Value of keeping an agent's anchor, in [0, 1]: expectation of 1/T, T the rounds of all open runs until one of
   * them uses it.
   *
   * @param arrivals expected number of open runs that use it in their next step; runs being independent, at least one
   *   does with probability 1 - exp(-arrivals).
   * @param openRuns for later rounds only the agent's share of all calls is known, so those are geometric.
   */
  value(agent: number, arrivals: number, openRuns: number): number {
    const next = 1 - Math.exp(-arrivals);
    const share = this.#total === 0 ? 0 : (this.#agents[agent]?.calls ?? 0) / this.#total;
    const round = 1 - (1 - share) ** Math.max(1, openRuns);
    if (round <= 0) return next;
    // Sum over k >= 1 of round (1 - round)^(k - 1) / (k + 1).
    const later = round > 0.999 ? 0.5 : (round * (-Math.log(round) - (1 - round))) / (1 - round) ** 2;
    return next + (1 - next) * later;
  }

  /** The agent was called right after another one; how much of that one's history does its prompt begin with? */
  followed(agent: number, earlier: PromptShape, prompt: PromptShape): void {
    if (earlier.history.length === 0) return;
    const own = this.#own(agent);
    own.shared += commonShare(earlier.history, prompt.history);
    own.sharedSamples++;
  }

  /** The agent was called again in the same run; how much of its own earlier prompt does it begin with? */
  returned(agent: number, earlier: PromptShape, prompt: PromptShape): void {
    const own = this.#own(agent);
    if (earlier.anchor.hash === prompt.anchor.hash) own.kept += commonShare(earlier.history, prompt.history);
    own.keptSamples++;
  }

  /** Expected share of the previous agent's history that the agent sees as well; 1/2 before anything is known. */
  shared(agent: number): number {
    const own = this.#agents[agent];
    return own ? (own.shared + 0.5) / (own.sharedSamples + 1) : 0.5;
  }

  /** Expected share of its own earlier history that the agent's next prompt begins with; 1 before anything is known. */
  kept(agent: number): number {
    const own = this.#agents[agent];
    return own ? (own.kept + 1) / (own.keptSamples + 1) : 1;
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
      own ? [[agent, own.calls, own.shared, own.sharedSamples, own.kept, own.keptSamples] as const] : [],
    );
    return { agents, characters: this.#characters, tokens: this.#tokens };
  }

  add({ agents, characters, tokens }: AnchorState): void {
    for (const [agent, calls, shared, sharedSamples, kept, keptSamples] of agents) {
      const own = this.#own(agent);
      own.calls += calls;
      own.shared += shared;
      own.sharedSamples += sharedSamples;
      own.kept += kept;
      own.keptSamples += keptSamples;
      this.#total += calls;
    }
    this.#characters += characters;
    this.#tokens += tokens;
  }

  #own(agent: number): Prompts {
    return (this.#agents[agent] ??= { calls: 0, shared: 0, sharedSamples: 0, kept: 0, keptSamples: 0 });
  }
}

/** Share of `earlier`'s characters in its longest common prefix with `later`; 1 for an empty history. */
function commonShare(earlier: readonly PromptPart[], later: readonly PromptPart[]): number {
  let common = 0;
  let all = 0;
  let same = true;
  for (let i = 0; i < earlier.length; i++) {
    const part = earlier[i] as PromptPart;
    const other = later[i];
    // State messages keep their identity between nodes, and so do their parts: no text comparison then.
    same = same && (part === other || part.hash === other?.hash);
    all += part.length;
    if (same) common += part.length;
  }
  return all === 0 ? 1 : common / all;
}
