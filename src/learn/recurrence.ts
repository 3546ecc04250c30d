import { END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { nowhere, type ReturnTimes } from "./return-times.ts";
import type { RunState } from "./run-state.ts";

/** Contests that count in full; older ones fade. */
const WINDOW = 100;
const FADING = 1 - 1 / WINDOW;
/** Least probability: one surprise must not outweigh everything else. */
const LEAST = 1e-3;
/** A share below is none. */
const LEAST_SHARE = 0.01;
/** Odds against it before anything was seen: until then the declared graph speaks alone. */
const PRIOR = Math.log(1 / LEAST_SHARE);
/** The opinions are compared at every so many calls: that costs as much as two predictions. */
const CONTEST_EVERY = 2;

/**
 * A second opinion on who is next: who has been away as long as is usual. Where agents take turns in an order of their own,
 * as in rounds of a discussion, this tells more than who follows whom.
 *
 * The two opinions are mixed by Bayes' rule: each weighs as much as the product of the probabilities that it gave to what
 * came of late.
 */
export class Recurrence {
  /** By how much its logarithm is ahead. */
  #lead = 0;
  #calls = 0;
  readonly #own: number[] = [];
  readonly #place = nowhere();

  /** Mixes this opinion into the probabilities by agent index in `out`, which are those of the other one. */
  mix(returns: ReturnTimes, state: RunState, out: number[]): void {
    const share = 1 / (1 + Math.exp(PRIOR - this.#lead));
    if (share < LEAST_SHARE || state.step === 0) return;
    const own = this.#opinion(returns, state, out);
    for (let agent = END_INDEX; agent < out.length; agent++)
      out[agent] = (out[agent] as number) + share * ((own[agent] as number) - (out[agent] as number));
  }

  /** Whether the opinions are to be compared at the next call. */
  isContest(): boolean {
    return ++this.#calls % CONTEST_EVERY === 0;
  }

  /** @param other probabilities by agent index. @param came the agent that called next, or END_INDEX. */
  contest(returns: ReturnTimes, state: RunState, other: readonly number[], came: number): void {
    if (state.step === 0 || came >= other.length) return;
    const own = this.#opinion(returns, state, other);
    const ahead = Math.log(Math.max(LEAST, own[came] as number) / Math.max(LEAST, other[came] as number));
    this.#lead = this.#lead * FADING + ahead;
  }

  /** Of agents that the run has not called yet, and of its end, it thinks as the other one does. */
  #opinion(returns: ReturnTimes, state: RunState, other: readonly number[]): readonly number[] {
    const own = this.#own;
    const { lastStep, step } = state;
    // But for the agent and its absence all agents of a run see the same.
    const place = state.look(START_INDEX, step, this.#place);
    let sum = 0;
    for (let agent = END_INDEX; agent < other.length; agent++) {
      const last = agent > OTHER_INDEX && agent < lastStep.length ? (lastStep[agent] as number) : 0;
      let chance = other[agent] as number;
      if (last > 0) {
        place.agent = agent;
        place.absence = step - last;
        chance = returns.next(place);
      }
      own[agent] = chance;
      sum += chance;
    }
    for (let agent = END_INDEX; agent < other.length; agent++)
      own[agent] = (own[agent] as number) / (sum || 1);
    return own;
  }
}
