import type { AgentId } from "../runtime/event.ts";
import type { Prediction } from "../runtime/policy.ts";

/** How often the most probable next agent was the one that came, counted where the agent really changed. */
export interface NextAgentAccuracy {
  readonly asked: number;
  readonly right: number;
}

/** Scores predictions made at one model call against the next one of the same run. */
export class Accuracy {
  #asked = 0;
  #right = 0;

  get value(): NextAgentAccuracy {
    return { asked: this.#asked, right: this.#right };
  }

  /** @param from agents whose turn ended; @param came the agent that came instead. */
  score(predicted: readonly Prediction[] | undefined, from: readonly AgentId[], came: AgentId): void {
    if (!predicted || from.includes(came)) return;
    this.#asked++;
    const other = predicted.find(({ agent }) => !from.includes(agent));
    if (other?.agent === came) this.#right++;
  }
}
