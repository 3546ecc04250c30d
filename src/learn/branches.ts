import type { PromptShape } from "../runtime/event.ts";
import { AGENTS } from "./agents.ts";
import { BUCKETS, hitRateIndex } from "./horizon.ts";
import { type LatestPrompt, lostOf } from "./latest-prompts.ts";
import { Lessons } from "./lessons.ts";
import { nowhere, ReturnTimes } from "./return-times.ts";
import type { RunState } from "./run-state.ts";
import { RETURNS, Survival } from "./survival.ts";

/** Branches of an agent of one run that are remembered beside that of its latest prompt. */
const MOST = 7;
/** After so many that were never gone on from one is remembered, to notice when that changes. */
const HOPELESS = 64;

/** How many branches of an agent were left, and how many gone on from again. */
interface Known {
  left: number;
  resumed: number;
}

/**
 * Agents that go to and fro between several prompts of one run: a node that calls the model about two things, that writes a file
 * and has it reviewed, or that runs several times side by side. What goes on from each other is a branch, and each branch
 * returns as if it were an agent of its own: the first of a run, the second, and so on. Nothing is expected of what an agent
 * has left before it was seen to go back to something.
 */
export class Branches {
  /** By agent index. */
  readonly #agents: (Known | undefined)[] = [];
  /** Indices of branches among themselves, by agent and branch; made when the first one is left. */
  readonly #indices = new Map<number, number>();
  #returns: ReturnTimes | undefined;
  readonly #survival = new Survival();
  readonly #lessons = new Lessons();
  readonly #place = nowhere();
  readonly #distribution = new Float64Array(BUCKETS);
  readonly #kept = new Float64Array(RETURNS);

  /**
   * The agent calls with the prompt that was given to `compare`, as the step after the run's latest.
   *
   * @param kept share of its latest prompt's history that this one begins with.
   */
  called(state: RunState, agent: number, prompt: PromptShape, kept: number): void {
    const { prompts } = state;
    const latest = prompts.of(agent);
    const before = prompts.before(agent, prompt, kept);
    const known = latest === before && prompts.left(agent).length === 0 ? undefined : this.#known(agent);
    if (known && before) {
      const returns = (this.#returns ??= new ReturnTimes());
      this.#lessons.returned(returns, state, {
        agent: this.#index(agent, before.branch),
        since: before.step,
      });
      const lost = lostOf(before, prompts.keptOf(before, prompt));
      this.#survival.returned(agent, state.step + 1 - before.step, lost);
    }
    if (known && before !== latest) {
      if (before) known.resumed++;
      else known.left++;
    }
    const most = known && known.resumed === 0 && known.left >= HOPELESS ? 1 : MOST;
    for (const { branch, step } of prompts.set(agent, prompt, { before, most, step: state.step + 1 }))
      this.#lost(state, agent, branch, step);
  }

  /** The run has ended: none of the agent's branches returns. */
  ended(state: RunState, agent: number): void {
    const { prompts } = state;
    const latest = prompts.of(agent);
    const left = prompts.left(agent);
    if (!latest || left.length === 0) return;
    for (const { branch, step } of [latest, ...left]) this.#lost(state, agent, branch, step);
  }

  /** The agent was seen to go back to what it had left. */
  has(agent: number): boolean {
    return (this.#agents[agent]?.resumed ?? 0) > 0;
  }

  /**
   * Best rate of uses per step, as `hitRateIndex` has it, that keeping a branch of an agent can earn.
   *
   * @param latest its latest prompt. @param place as `Survival` has them.
   */
  rate(state: RunState, agent: number, { branch, step }: LatestPrompt, place: number): number {
    if (!this.#returns) return 0;
    const at = state.look(this.#index(agent, branch), state.step, this.#place, step);
    this.#returns.distribution(at, undefined, this.#distribution);
    return hitRateIndex(this.#distribution, this.#survival.kept(agent, place, this.#kept), at.absence);
  }

  /** The branch that the agent most probably calls with next: of its latest prompt, unless another was seen to come sooner. */
  next(state: RunState, agent: number): number {
    const { prompts } = state;
    const latest = prompts.of(agent);
    if (!latest || !this.#returns || !this.has(agent)) return latest?.branch ?? 0;
    let best = latest.branch;
    let most = 0;
    for (const { branch, step } of [latest, ...prompts.left(agent)]) {
      const at = state.look(this.#index(agent, branch), state.step, this.#place, step);
      const chance = this.#returns.next(at);
      if (chance <= most) continue;
      best = branch;
      most = chance;
    }
    return best;
  }

  /** Who follows whom has changed. */
  fade(): void {
    this.#returns?.fade();
  }

  #lost(state: RunState, agent: number, branch: number, since: number): void {
    const returns = (this.#returns ??= new ReturnTimes());
    this.#lessons.ended(returns, state, { agent: this.#index(agent, branch), since });
  }

  #known(agent: number): Known {
    return (this.#agents[agent] ??= { left: 0, resumed: 0 });
  }

  #index(agent: number, branch: number): number {
    const key = agent * AGENTS + branch;
    let index = this.#indices.get(key);
    // 0 is none; beyond the last they share one.
    if (index === undefined) this.#indices.set(key, (index = Math.min(AGENTS - 1, this.#indices.size + 1)));
    return index;
  }
}
