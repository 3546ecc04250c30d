import type { PromptShape } from "../runtime/event.ts";
import { AGENTS, OTHER_INDEX } from "./agents.ts";
import { CountReader, writeCounts } from "./counts.ts";
import { BUCKETS, hitRateIndex } from "./horizon.ts";
import { type LatestPrompt, lostOf } from "./latest-prompts.ts";
import { Lessons } from "./lessons.ts";
import { nowhere, ReturnTimes } from "./return-times.ts";
import type { RunState } from "./run-state.ts";
import type { BranchState } from "./state.ts";
import { RETURNS, Survival } from "./survival.ts";

/** Branches of an agent of one run that are remembered beside that of its latest prompt. */
const MOST = 7;
/** After so many that were never gone on from one is remembered, to notice when that changes. */
const HOPELESS = 64;

/** The first index is of no branch; the last one is of all that are beyond it, and of agents that share an index themselves. */
const NONE = 0;
const SHARED = AGENTS - 1;

/** How many branches of an agent were left, and how many gone on from again. */
interface Known {
  left: number;
  resumed: number;
  /** Of these, how many were taken. */
  leftTaken: number;
  resumedTaken: number;
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

  /**
   * How many branches were left and gone on from, and all else of agents that were seen to go back; undefined while none was left.
   *
   * @param room characters at most for return times.
   */
  snapshot(room: number): BranchState | undefined {
    const agents = [...this.#agents.entries()].flatMap(([agent, known]) =>
      known ? [agent, known.left - known.leftTaken, known.resumed - known.resumedTaken] : [],
    );
    if (agents.length === 0) return undefined;
    const owners = this.#owners();
    const numbers = [NONE, ...owners].flatMap((key) => [Math.floor(key / AGENTS), key % AGENTS]);
    return {
      agents: writeCounts(agents),
      numbers: writeCounts(numbers),
      returns: this.#returns?.snapshot(room, this.#isTold(owners)) ?? "",
      survival: this.#survival.snapshot((agent) => this.has(agent)),
    };
  }

  /** Forgets what a snapshot without limit has; who was seen to go back, or not to, is remembered. */
  take(): void {
    for (const known of this.#agents) {
      if (!known) continue;
      known.leftTaken = known.left;
      known.resumedTaken = known.resumed;
    }
    this.#returns?.forget(this.#isTold(this.#owners()));
    this.#survival.forget((agent) => this.has(agent));
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore({ agents, numbers, returns, survival }: BranchState, local: (agent: number) => number): void {
    for (const reader = new CountReader(agents); !reader.isAtEnd;) {
      const known = this.#known(local(reader.next()));
      known.left += reader.next();
      known.resumed += reader.next();
    }
    const own: number[] = [];
    for (const reader = new CountReader(numbers); !reader.isAtEnd;) {
      const [agent, branch] = [reader.next(), reader.next()];
      own.push(own.length === NONE ? NONE : this.#index(local(agent), branch));
    }
    (this.#returns ??= new ReturnTimes()).restore(returns, (index) => own[index] ?? SHARED, local);
    this.#survival.restore(survival, local);
  }

  /** Keys in `#indices` by index, from 1 on. */
  #owners(): readonly number[] {
    return [...this.#indices].filter(([, index]) => index < SHARED).map(([key]) => key);
  }

  /** Whether an index is of an agent that was seen to go back; NONE and SHARED are of all agents. */
  #isTold(owners: readonly number[]): (index: number) => boolean {
    const hasSome = this.#agents.some((known) => known && known.resumed > 0);
    return (index) => {
      const key = owners[index - 1];
      return key === undefined ? hasSome : this.has(Math.floor(key / AGENTS));
    };
  }

  #lost(state: RunState, agent: number, branch: number, since: number): void {
    const returns = (this.#returns ??= new ReturnTimes());
    this.#lessons.ended(returns, state, { agent: this.#index(agent, branch), since });
  }

  #known(agent: number): Known {
    return (this.#agents[agent] ??= { left: 0, resumed: 0, leftTaken: 0, resumedTaken: 0 });
  }

  #index(agent: number, branch: number): number {
    if (agent === OTHER_INDEX || branch > MOST) return SHARED;
    const key = agent * AGENTS + branch;
    let index = this.#indices.get(key);
    if (index === undefined) this.#indices.set(key, (index = Math.min(SHARED, this.#indices.size + 1)));
    return index;
  }
}
