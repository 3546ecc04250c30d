import type { AgentId, RunId, TopologyEvent } from "../runtime/event.ts";
import type { Prediction } from "../runtime/policy.ts";
import { type Agents, END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { type Answer, UNKNOWN } from "./answer.ts";
import { StructuralPrior } from "./prior.ts";
import type { RunState } from "./run-state.ts";
import { Transitions, type TransitionState } from "./transitions.ts";

/** Less probable next agents are not listed. */
const LEAST_PROBABILITY = 0.05;

/** Which agents call the model next: what is known for certain, else transitions from all agents at work now. */
export class NextCallers {
  readonly #agents: Agents;
  readonly #prior = new StructuralPrior();
  readonly #transitions: Transitions;
  readonly #scratch: number[] = [];

  /** @param forgets as `Transitions` has it. */
  constructor(agents: Agents, forgets: boolean) {
    this.#agents = agents;
    this.#transitions = new Transitions(agents, this.#prior, forgets);
  }

  declare(topology: TopologyEvent): void {
    for (const agent of topology.agents) this.#agents.index(agent);
    this.#prior.declare(topology);
  }

  /** An activation of this agent ended; did it make a model call? */
  activated(agent: AgentId, called: boolean): void {
    this.#prior.activated(agent, called);
  }

  /**
   * The agent calls, as `state` has it by now but for the call itself.
   *
   * @param again it was at work already.
   * @param before the agent before the one it follows.
   * @returns true when who follows whom has changed.
   */
  called(state: RunState, agent: number, again: boolean, before: number): boolean {
    const { from } = state;
    const answer = answerOf(again ? state.frontier : from, state.answer);
    if (again) return this.#transitions.count(before, agent, answer, agent);
    let isOther = false;
    for (const predecessor of from)
      if (this.#transitions.count(state.before, predecessor, answer, agent, 1 / from.length)) isOther = true;
    return isOther;
  }

  /** The run was completed. @returns true when who follows whom has changed. */
  ended({ from, frontier, answer: latest }: RunState): boolean {
    const answer = answerOf(frontier, latest);
    const before = from[0] ?? START_INDEX;
    let isOther = false;
    for (const agent of frontier)
      if (this.#transitions.count(before, agent, answer, END_INDEX, 1 / frontier.length)) isOther = true;
    return isOther;
  }

  /** Fills `out` (length: agents.size at least) with each agent's probability to be next. */
  predict({ exact, from, frontier, answer }: RunState, out: number[]): void {
    const { size } = this.#agents;
    if (exact) return this.#firstCallers(exact, out);
    const before = from[0] ?? START_INDEX;
    if (frontier.length === 1) return this.#transitions.next(before, frontier[0] ?? START_INDEX, answer, out);
    out.fill(0);
    for (const agent of frontier) {
      this.#transitions.next(before, agent, UNKNOWN, this.#scratch);
      for (let to = 0; to < size; to++)
        out[to] = (out[to] as number) + (this.#scratch[to] as number) / frontier.length;
    }
  }

  /** The probable ones of the first `size` agents, most probable first. */
  list(run: RunId, probabilities: readonly number[], size: number): readonly Prediction[] {
    const list: Prediction[] = [];
    for (let index = OTHER_INDEX + 1; index < size; index++) {
      // A sum of shares may be above 1 by a rounding.
      const probability = Math.min(1, probabilities[index] as number);
      if (probability < LEAST_PROBABILITY) continue;
      // They are few: each goes up to its place at once.
      let place = list.length;
      for (; place > 0 && (list[place - 1] as Prediction).probability < probability; place--)
        list[place] = list[place - 1] as Prediction;
      list[place] = { run, agent: this.#agents.name(index), probability };
    }
    return list;
  }

  snapshot(): TransitionState {
    return this.#transitions.snapshot();
  }

  /** As `Transitions.restore`. */
  restore(state: TransitionState, local: (agent: number) => number): void {
    this.#transitions.restore(state, local);
  }

  /** As `Transitions.take`. */
  take(): void {
    this.#transitions.take();
  }

  /** An exactly known next node may make no model call itself; then those after it do. */
  #firstCallers(exact: readonly AgentId[], out: number[]): void {
    out.fill(0);
    const add = (agent: AgentId, probability: number) => {
      const index = this.#agents.find(agent);
      if (index !== undefined && index < out.length)
        out[index] = Math.min(1, (out[index] as number) + probability);
    };
    for (const agent of new Set(exact))
      if (this.#prior.isSilent(agent))
        for (const [to, probability] of this.#prior.after(agent)) add(to, probability);
      else add(agent, 1);
  }
}

/** Of several agents at work only one has given the latest answer. */
function answerOf(agents: readonly number[], latest: Answer): Answer {
  return agents.length === 1 ? latest : UNKNOWN;
}
