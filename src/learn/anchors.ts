import type { AgentId, PromptPart, PromptShape } from "../runtime/event.ts";

/** Calls over which arrival rates are averaged: old counts are halved when this many have been seen. */
const WINDOW = 4096;
/** Characters a token stands for before any usage was reported; English text and JSON in BPE vocabularies. */
const CHARACTERS_PER_TOKEN = 4;
const MAX_AGENTS = 256;

/** A mean that starts at a prior worth one sample. */
interface Mean {
  sum: number;
  count: number;
}

/** What prompts have in common: how often each anchor is used, and how much history agents share. */
export class Anchors {
  readonly #calls = new Map<AgentId, number>();
  readonly #shared = new Map<AgentId, Mean>();
  readonly #kept = new Map<AgentId, Mean>();
  #total = 0;
  #characters = 0;
  #tokens = 0;

  called(agent: AgentId): void {
    if (!this.#calls.has(agent) && this.#calls.size >= MAX_AGENTS) return;
    this.#calls.set(agent, (this.#calls.get(agent) ?? 0) + 1);
    if (++this.#total < WINDOW) return;
    this.#total = 0;
    for (const [name, calls] of this.#calls) {
      this.#calls.set(name, calls / 2);
      this.#total += calls / 2;
    }
  }

  /**
   * Value of keeping an agent's anchor, in [0, 1]: expectation of 1/T when any of `openRuns` runs uses it with
   * the agent's share of all calls, T counted in rounds of all open runs (geometric distribution).
   */
  value(agent: AgentId, openRuns: number): number {
    const share = this.#total === 0 ? 0 : (this.#calls.get(agent) ?? 0) / this.#total;
    const round = 1 - (1 - share) ** Math.max(1, openRuns);
    if (round <= 0) return 0;
    return round >= 1 ? 1 : (-round * Math.log(round)) / (1 - round);
  }

  /** `to` was called right after another agent; how much of that one's history does its prompt begin with? */
  followed(to: AgentId, earlier: PromptShape, prompt: PromptShape): void {
    if (earlier.history.length > 0) learn(this.#shared, to, commonShare(earlier.history, prompt.history));
  }

  /** The agent was called again in the same run; how much of its own earlier prompt does it begin with? */
  returned(agent: AgentId, earlier: PromptShape, prompt: PromptShape): void {
    const same = earlier.anchor.hash === prompt.anchor.hash;
    learn(this.#kept, agent, same ? commonShare(earlier.history, prompt.history) : 0);
  }

  /** Expected share of the previous agent's history that `to` sees as well; 1/2 before anything is known. */
  shared(to: AgentId): number {
    return mean(this.#shared.get(to), 0.5);
  }

  /** Expected share of its own earlier history that the agent's next prompt begins with; 1 before anything is known. */
  kept(agent: AgentId): number {
    return mean(this.#kept.get(agent), 1);
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

  snapshot() {
    return {
      calls: [...this.#calls],
      shared: [...this.#shared].map(([agent, { sum, count }]) => [agent, sum, count] as const),
      kept: [...this.#kept].map(([agent, { sum, count }]) => [agent, sum, count] as const),
      characters: this.#characters,
      tokens: this.#tokens,
    };
  }

  add(state: ReturnType<Anchors["snapshot"]>): void {
    for (const [agent, calls] of state.calls) {
      this.#calls.set(agent, (this.#calls.get(agent) ?? 0) + calls);
      this.#total += calls;
    }
    for (const [target, rows] of [
      [this.#shared, state.shared],
      [this.#kept, state.kept],
    ] as const)
      for (const [agent, sum, count] of rows) {
        const known = target.get(agent) ?? { sum: 0, count: 0 };
        target.set(agent, { sum: known.sum + sum, count: known.count + count });
      }
    this.#characters += state.characters;
    this.#tokens += state.tokens;
  }
}

function learn(means: Map<AgentId, Mean>, agent: AgentId, sample: number): void {
  let known = means.get(agent);
  if (!known) {
    if (means.size >= MAX_AGENTS) return;
    means.set(agent, (known = { sum: 0, count: 0 }));
  }
  known.sum += sample;
  known.count++;
}

function mean(known: Mean | undefined, prior: number): number {
  return known ? (known.sum + prior) / (known.count + 1) : prior;
}

/** Share of `earlier`'s characters in its longest common prefix with `later`; 1 for an empty history. */
function commonShare(earlier: readonly PromptPart[], later: readonly PromptPart[]): number {
  let common = 0;
  let all = 0;
  let same = true;
  for (let i = 0; i < earlier.length; i++) {
    const part = earlier[i] as PromptPart;
    same = same && part.hash === later[i]?.hash;
    all += part.length;
    if (same) common += part.length;
  }
  return all === 0 ? 1 : common / all;
}
