import type { PromptPart, PromptShape, RunId } from "./event.ts";
import { charactersOf, commonParts, wholeMessages } from "./prompt-parts.ts";

/**
 * What an agent's prompts begin with alike, whichever run they are of, after system message and tools: examples, or a first
 * message that is always the same. It is what the latest prompts of two runs have in common, as long as the newer one's run
 * goes on with it; nothing while there was one run only.
 */
export class CommonLead {
  #anchor = "";
  #run: RunId | undefined;
  #history: readonly PromptPart[] = [];
  #parts = 0;
  #messages = 0;
  #characters = 0;

  /** How many whole messages. */
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
    const parts = wholeLength(
      this.#history,
      history,
      run === this.#run ? Math.min(this.#parts, common) : common,
    );
    if (parts !== this.#parts) {
      this.#messages = wholeMessages(history, parts);
      this.#characters = charactersOf(history, parts);
    }
    this.#parts = parts;
    this.#anchor = anchor.hash;
    this.#run = run;
    this.#history = history;
  }
}

/** Parts of two prompts' common ones that are whole messages in both. */
function wholeLength(earlier: readonly PromptPart[], later: readonly PromptPart[], common: number): number {
  let length = common;
  while (length > 0 && (earlier[length]?.continues || later[length]?.continues)) length--;
  return length;
}
