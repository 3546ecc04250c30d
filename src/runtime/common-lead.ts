import type { PromptPart, PromptShape, RunId } from "./event.ts";
import { charactersOf, commonParts } from "./prompt-parts.ts";

/**
 * What an agent's prompts begin with alike, whichever run they are of, after system message and tools: examples, or a first
 * message that is always the same. It is what the latest prompts of two runs have in common, as long as the newer one's run
 * goes on with it; nothing while there was one run only.
 */
export class CommonLead {
  #anchor = "";
  #run: RunId | undefined;
  #history: readonly PromptPart[] = [];
  #messages = 0;
  #characters = 0;

  /** How many messages. */
  get messages(): number {
    return this.#messages;
  }

  get characters(): number {
    return this.#characters;
  }

  /** Takes in the agent's next prompt. Costs a look at the messages that it has in common with the one before. */
  observe(run: RunId, { anchor, history }: PromptShape): void {
    const isKnown = this.#run !== undefined && anchor.hash === this.#anchor;
    const common = isKnown ? commonParts(this.#history, history) : 0;
    // A run's own prompts have more in common than those of two runs.
    const messages = run === this.#run ? Math.min(this.#messages, common) : common;
    if (messages !== this.#messages) this.#characters = charactersOf(history, messages);
    this.#messages = messages;
    this.#anchor = anchor.hash;
    this.#run = run;
    this.#history = history;
  }
}
