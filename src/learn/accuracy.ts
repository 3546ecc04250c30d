import { type AgentId, END, START } from "../runtime/event.ts";
import type { Prediction } from "../runtime/policy.ts";

/** How good the predictions of next agents were. */
export interface NextAgentAccuracy {
  /** Model calls at which the agent really changed, and how often the most probable other agent was the one that came. */
  readonly asked: number;
  readonly right: number;
  /** Expected calibration error, in [0, 1]: 0 when what was said to come with 0.7 came 7 times in 10; null before any call. */
  readonly calibrationError: number | null;
}

/** Probabilities are compared with what happened in so many bins of equal width. */
const BINS = 10;

/** Scores predictions made at one model call against the next one of the same run. */
export class Accuracy {
  #asked = 0;
  #right = 0;
  readonly #said = new Float64Array(BINS);
  readonly #happened = new Float64Array(BINS);
  #predictions = 0;

  get value(): NextAgentAccuracy {
    let apart = 0;
    for (let bin = 0; bin < BINS; bin++)
      apart += Math.abs((this.#said[bin] as number) - (this.#happened[bin] as number));
    const calibrationError = this.#predictions === 0 ? null : apart / this.#predictions;
    return { asked: this.#asked, right: this.#right, calibrationError };
  }

  /** @param from agents whose turn it was; @param came the agent that called next, one of them perhaps, or END. */
  score(predicted: readonly Prediction[] | undefined, from: readonly AgentId[], came: AgentId): void {
    if (!predicted) return;
    for (const { agent, probability } of predicted) {
      const bin = Math.min(BINS - 1, Math.floor(probability * BINS));
      this.#said[bin] = (this.#said[bin] as number) + probability;
      if (agent === came) this.#happened[bin] = (this.#happened[bin] as number) + 1;
      this.#predictions++;
    }
    if (came === END || from.includes(came) || from.includes(START)) return;
    this.#asked++;
    const other = predicted.find(({ agent }) => !from.includes(agent));
    if (other?.agent === came) this.#right++;
  }
}
