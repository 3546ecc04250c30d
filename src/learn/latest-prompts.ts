import type { PromptPart, PromptShape } from "../runtime/event.ts";
import { charactersOf, commonParts } from "../runtime/prompt-parts.ts";

/** Messages, in order, that all of several prompts begin with; a longer list takes this one's place as the run goes on. */
interface Messages {
  parts: readonly PromptPart[];
}

/** An agent's latest prompt, changed in place: its anchor, and the first `length` of some messages. */
export interface LatestPrompt {
  anchor: PromptPart;
  messages: Messages;
  length: number;
}

/**
 * The latest prompts of a run's agents. Where each prompt holds all messages so far, as in a graph with shared messages,
 * they share one list, and one look tells what a new prompt has in common with all of them.
 */
export class LatestPrompts {
  /** By agent. */
  #prompts: (LatestPrompt | undefined)[] = [];
  #latest: LatestPrompt | undefined;
  /** Messages that the prompt compared last begins with, of those of the latest prompt's list. */
  #common = 0;

  /** The run's latest prompt. */
  get latest(): LatestPrompt | undefined {
    return this.#latest;
  }

  of(agent: number): LatestPrompt | undefined {
    return this.#prompts[agent];
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

  /** The prompt given to `compare` is its agent's latest from now on. */
  set(agent: number, { anchor, history }: PromptShape): void {
    const messages = this.#messagesOf(history);
    const { length } = history;
    let prompt = this.#prompts[agent];
    if (prompt) {
      prompt.anchor = anchor;
      prompt.messages = messages;
      prompt.length = length;
    } else {
      prompt = { anchor, messages, length };
      this.#prompts[agent] = prompt;
    }
    this.#latest = prompt;
  }

  /** Takes over from the run that ended before on its thread. */
  adopt(earlier: LatestPrompts): void {
    for (const [agent, prompt] of earlier.#prompts.entries()) this.#prompts[agent] = prompt;
    this.#latest = earlier.#latest;
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
