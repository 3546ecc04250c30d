import type { PromptPart, PromptShape } from "../runtime/event.ts";
import { charactersOf, commonParts } from "../runtime/prompt-parts.ts";

/** Messages, in order, that all of several prompts begin with; a longer list takes this one's place as the run goes on. */
interface Messages {
  parts: readonly PromptPart[];
}

/** An agent's latest prompt of one branch, changed in place: its anchor, and the first `length` of some messages. */
export interface LatestPrompt {
  anchor: PromptPart;
  messages: Messages;
  length: number;
  /** Which of the agent's branches it is of, from 0 on: a number is used again when its branch has been forgotten. */
  readonly branch: number;
  /** Step of its run. */
  step: number;
}

/** A prompt that has this share of an earlier one's history goes on from it. */
const GOES_ON = 0.5;
const NONE: readonly never[] = [];

/**
 * The latest prompts of a run's agents. Where each prompt holds all messages so far, as in a graph with shared messages,
 * they share one list, and one look tells what a new prompt has in common with all of them.
 */
export class LatestPrompts {
  /** By agent. */
  #prompts: (LatestPrompt | undefined)[] = [];
  #latest: LatestPrompt | undefined;
  /** By agent, what it has left and may go back to, latest first; hardly any has some. */
  #left: Map<number, readonly LatestPrompt[]> | undefined;
  /** Messages that the prompt compared last begins with, of those of the latest prompt's list. */
  #common = 0;

  /** The run's latest prompt. */
  get latest(): LatestPrompt | undefined {
    return this.#latest;
  }

  of(agent: number): LatestPrompt | undefined {
    return this.#prompts[agent];
  }

  /** What the agent has left and may go back to, latest first. */
  left(agent: number): readonly LatestPrompt[] {
    return this.#left?.get(agent) ?? NONE;
  }

  /** Makes room for so many agents. */
  fit(agents: number): void {
    const prompts = Array<LatestPrompt | undefined>(agents).fill(undefined);
    for (let agent = 0; agent < this.#prompts.length; agent++) prompts[agent] = this.#prompts[agent];
    this.#prompts = prompts;
  }

  /** A new prompt, to be compared with earlier ones and then to become its agent's latest. */
  compare({ history }: PromptShape): void {
    this.#common = this.#latest ? commonParts(this.#latest.messages.parts, history) : 0;
  }

  /** Messages of an earlier prompt that the one given to `compare` begins with. */
  commonWith(earlier: LatestPrompt, { history }: PromptShape): number {
    const common =
      earlier.messages === this.#latest?.messages
        ? this.#common
        : commonParts(earlier.messages.parts, history);
    return Math.min(common, earlier.length);
  }

  /** Share of an earlier prompt's history that the one given to `compare` begins with; 0 where its anchor is another. */
  keptOf(earlier: LatestPrompt, prompt: PromptShape): number {
    if (earlier.anchor !== prompt.anchor && earlier.anchor.hash !== prompt.anchor.hash) return 0;
    return shareOf(earlier, this.commonWith(earlier, prompt));
  }

  /**
   * What the prompt given to `compare` goes on from: the agent's latest one, or what it has left of which it has most; undefined
   * when it begins anew.
   *
   * @param kept of the latest one, as `keptOf` has it.
   */
  before(agent: number, prompt: PromptShape, kept: number): LatestPrompt | undefined {
    const latest = this.#prompts[agent];
    if (!latest || kept >= GOES_ON) return latest;
    let [best, most]: [LatestPrompt | undefined, number] = [undefined, 0];
    for (const left of this.left(agent)) {
      if (this.keptOf(left, prompt) < GOES_ON) continue;
      const length = charactersOf(left.messages.parts, this.commonWith(left, prompt));
      if (best && length <= most) continue;
      [best, most] = [left, length];
    }
    return best;
  }

  /** The agent's latest prompt of a branch; undefined when the branch is forgotten. */
  find(agent: number, branch: number): LatestPrompt | undefined {
    const latest = this.#prompts[agent];
    return latest?.branch === branch ? latest : this.left(agent).find((left) => left.branch === branch);
  }

  /**
   * The prompt given to `compare` is its agent's latest from now on.
   *
   * @param before what it goes on from. @param most that are remembered of what the agent has left. @param step of the run.
   * @returns what is forgotten.
   */
  set(
    agent: number,
    { anchor, history }: PromptShape,
    { before, most, step }: { before: LatestPrompt | undefined; most: number; step: number },
  ): readonly LatestPrompt[] {
    const messages = this.#messagesOf(history);
    const { length } = history;
    const forgotten = before === this.#prompts[agent] ? NONE : this.#leave(agent, before, most);
    if (before) {
      before.anchor = anchor;
      before.messages = messages;
      before.length = length;
      before.step = step;
    }
    const prompt = before ?? { anchor, messages, length, branch: this.#freeBranch(agent), step };
    this.#prompts[agent] = prompt;
    this.#latest = prompt;
    return forgotten;
  }

  /** The agent's latest prompt is left for what it had left before, or for a new one. */
  #leave(agent: number, before: LatestPrompt | undefined, most: number): readonly LatestPrompt[] {
    const latest = this.#prompts[agent];
    const left = this.left(agent).filter((prompt) => prompt !== before);
    if (latest) left.unshift(latest);
    (this.#left ??= new Map()).set(agent, left.slice(0, most));
    return left.slice(most);
  }

  #freeBranch(agent: number): number {
    for (let branch = 0; ; branch++)
      if (!this.left(agent).some((left) => left.branch === branch)) return branch;
  }

  /** Takes over from the run that ended before on its thread. */
  adopt(earlier: LatestPrompts): void {
    for (const [agent, prompt] of earlier.#prompts.entries()) this.#prompts[agent] = prompt;
    this.#latest = earlier.#latest;
    this.#left = earlier.#left;
  }

  #messagesOf(history: readonly PromptPart[]): Messages {
    const known = this.#latest?.messages;
    if (!known) return { parts: history };
    if (this.#common === known.parts.length) known.parts = history;
    else if (this.#common < history.length) return { parts: history };
    return known;
  }
}

/** Share of a prompt's messages that its first `common` ones make, by characters; 1 where there are none. */
export function shareOf({ messages: { parts }, length }: LatestPrompt, common: number): number {
  if (common >= length) return 1;
  const kept = charactersOf(parts, common);
  const all = kept + charactersOf(parts, length, common);
  return all === 0 ? 1 : kept / all;
}

/** Characters at a prompt's end that are lost when a share of its history is kept; infinite when hardly more than its anchor is. */
export function lostOf(prompt: LatestPrompt, kept: number): number {
  if (kept === 1) return 0;
  return kept < 0.1 ? Number.POSITIVE_INFINITY : (1 - kept) * (lengthOf(prompt) - prompt.anchor.length);
}

/** Characters of a prompt. */
export function lengthOf({ anchor, messages, length }: LatestPrompt): number {
  return anchor.length + charactersOf(messages.parts, length);
}
