import type { PrefixRef } from "../runtime/action.ts";
import type { AgentId, Event, RequestStartEvent, RunEndEvent, RunId, SessionId } from "../runtime/event.ts";
import type { Prediction, Predictor } from "../runtime/policy.ts";
import { Accuracy, type NextAgentAccuracy } from "./accuracy.ts";
import { Agents, END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { Anchors } from "./anchors.ts";
import { StructuralPrior } from "./prior.ts";
import { Returns } from "./returns.ts";
import { RunState } from "./run-state.ts";
import { type LearnedState, parseState } from "./state.ts";
import { Transitions } from "./transitions.ts";

/** Open runs kept; runs whose end is never seen leave oldest first. */
const MAX_RUNS = 10_000;
const MAX_SUSPENDED = 1024;
/** Less probable next agents are not listed. */
const LEAST_PROBABILITY = 0.05;

/**
 * The learned view of the future: which agents run next, and when a prefix is used again.
 *
 * A step is one model call of a run, so nodes that never call a model do not count. Learns from the first
 * call on; before that the declared graph speaks.
 */
export class LearnedPredictor implements Predictor {
  readonly #agents = new Agents();
  readonly #prior = new StructuralPrior();
  readonly #transitions = new Transitions(this.#agents, this.#prior);
  readonly #returns = new Returns();
  readonly #anchors = new Anchors();
  readonly #runs = new Map<RunId, RunState>();
  readonly #suspended = new Map<SessionId, RunState>();
  readonly #accuracy = new Accuracy();
  #scratch = new Float64Array(16);
  /** By agent: expected number of open runs that call it in their next step, over the runs whose probabilities stand. */
  #arrivals = new Float64Array(16);

  observe(event: Event): void {
    switch (event.type) {
      case "topology":
        for (const agent of event.agents) this.#agents.index(agent);
        return this.#prior.declare(event);
      case "run-start":
        return this.#startRun(event.run, event.session);
      case "agent-start":
        this.#run(event.run).activations.set(event.activation, { agent: event.agent, called: false });
        return;
      case "agent-end": {
        const activations = this.#runs.get(event.run)?.activations;
        const ended = activations?.get(event.activation);
        activations?.delete(event.activation);
        if (ended && event.status === "completed") this.#prior.activated(ended.agent, ended.called);
        return;
      }
      case "next-agents": {
        const state = this.#run(event.run);
        state.early ??= state.predictions;
        state.exact = event.agents;
        this.#forget(state);
        return;
      }
      case "request-start":
        return this.#request(event);
      case "request-end": {
        const state = this.#runs.get(event.run);
        if (state?.request === event.request)
          this.#anchors.usage(state.requestLength, event.usage?.promptTokens ?? 0);
        return;
      }
      case "run-end":
        return this.#endRun(event);
      default:
        return;
    }
  }

  next(run: RunId): readonly Prediction[] {
    const state = this.#runs.get(run);
    if (!state) return [];
    return (state.predictions ??= this.#list(run, this.#probabilities(state)));
  }

  reuse({ agent, run }: PrefixRef): number {
    const index = this.#agents.find(agent);
    if (index === undefined) return 0;
    if (run === undefined) return this.#anchors.value(index, this.#arrivals[index] ?? 0, this.#runs.size);
    const state = this.#runs.get(run);
    if (!state) return 0;
    const next = this.#probabilities(state)[index] ?? 0;
    const last = state.lastStep[index];
    const later = last ? this.#returns.value(index, state.step - last + 1) : 0;
    return Math.min(1, (next + (1 - next) * later) * this.#anchors.kept(index));
  }

  sharedHistory(agent: AgentId): number {
    return this.#anchors.shared(this.#agents.find(agent) ?? OTHER_INDEX);
  }

  tokens(characters: number): number {
    return this.#anchors.tokens(characters);
  }

  /** Next-agent accuracy since this predictor was made. */
  get accuracy(): NextAgentAccuracy {
    return this.#accuracy.value;
  }

  snapshot(): LearnedState {
    return {
      version: 1,
      agents: Array.from({ length: this.#agents.size }, (_, index) => this.#agents.name(index)),
      transitions: [...this.#transitions.entries()],
      returns: [...this.#returns.entries()],
      anchors: this.#anchors.snapshot(),
    };
  }

  /** Adds a snapshot's counts to what is known. Throws InvalidOptionsError when it is not one. */
  restore(state: unknown): void {
    const { agents, transitions, returns, anchors } = parseState(state);
    const own = agents.map((name, index) => (index <= OTHER_INDEX ? index : this.#agents.index(name)));
    const local = (index: number) => own[index] ?? OTHER_INDEX;
    for (const [before, from, to, count] of transitions)
      this.#transitions.add([before < 0 ? before : local(before), local(from), local(to), count]);
    for (const [agent, ...gaps] of returns) this.#returns.add([local(agent), ...gaps]);
    this.#anchors.add({
      ...anchors,
      agents: anchors.agents.map(([agent, ...rest]) => [local(agent), ...rest] as const),
    });
  }

  #probabilities(state: RunState): Float64Array {
    if (state.probabilities) return state.probabilities;
    const probabilities = this.#predict(state);
    state.probabilities = probabilities;
    this.#arrive(probabilities, 1);
    return probabilities;
  }

  #forget(state: RunState): void {
    if (state.probabilities) this.#arrive(state.probabilities, -1);
    state.probabilities = undefined;
    state.predictions = undefined;
  }

  #arrive(probabilities: Float64Array, sign: 1 | -1): void {
    if (this.#arrivals.length < probabilities.length) {
      const grown = new Float64Array(2 * probabilities.length);
      grown.set(this.#arrivals);
      this.#arrivals = grown;
    }
    // Rounding may leave a trace below zero when the last run has gone.
    for (let agent = 0; agent < probabilities.length; agent++)
      this.#arrivals[agent] = Math.max(0, (this.#arrivals[agent] ?? 0) + sign * (probabilities[agent] ?? 0));
  }

  #predict(state: RunState): Float64Array {
    const size = this.#agents.size;
    if (state.exact) return this.#firstCallers(state.exact);
    const sum = new Float64Array(size);
    const { frontier } = state;
    if (frontier.length === 1) {
      this.#transitions.next(state.from[0] ?? START_INDEX, frontier[0] ?? START_INDEX, sum);
      return sum;
    }
    if (this.#scratch.length < size) this.#scratch = new Float64Array(2 * size);
    for (const agent of frontier) {
      this.#transitions.next(state.from[0] ?? START_INDEX, agent, this.#scratch);
      for (let to = 0; to < size; to++) sum[to] = (sum[to] ?? 0) + (this.#scratch[to] ?? 0) / frontier.length;
    }
    return sum;
  }

  /** An exactly known next node may make no model call itself; then those after it do. */
  #firstCallers(exact: readonly AgentId[]): Float64Array {
    const sums: (readonly [number, number])[] = [];
    for (const agent of new Set(exact))
      if (this.#prior.isSilent(agent))
        for (const [to, probability] of this.#prior.after(agent))
          sums.push([this.#agents.index(to), probability]);
      else sums.push([this.#agents.index(agent), 1]);
    const all = new Float64Array(this.#agents.size);
    for (const [index, probability] of sums) all[index] = Math.min(1, (all[index] ?? 0) + probability);
    return all;
  }

  #list(run: RunId, probabilities: Float64Array): readonly Prediction[] {
    const list: Prediction[] = [];
    for (let index = OTHER_INDEX + 1; index < probabilities.length; index++) {
      const probability = probabilities[index] ?? 0;
      if (probability >= LEAST_PROBABILITY) list.push({ run, agent: this.#agents.name(index), probability });
    }
    return list.toSorted((a, b) => b.probability - a.probability);
  }

  #request({ run, agent: name, namespace, step, prompt, request }: RequestStartEvent): void {
    const state = this.#run(run);
    const agent = this.#agents.index(name);
    const predicted = state.early ?? state.predictions;
    const again = state.frontier.includes(agent);
    const before = again ? state.from[0] : state.before;
    state.called(agent, namespace, step);
    this.#learnTransition(state, agent, again, before ?? START_INDEX);
    if (predicted && !again)
      this.#accuracy.score(
        predicted,
        state.from.map((index) => this.#agents.name(index)),
        name,
      );
    state.step++;
    const last = state.lastStep[agent];
    if (last) this.#returns.returned(agent, state.step - last);
    state.lastStep[agent] = state.step;
    this.#learnPrompt(state, agent, again, prompt);
    if (state.activations.size > 0)
      for (const activation of state.activations.values())
        if (activation.agent === name) activation.called = true;
    state.request = request;
    state.requestLength = promptLength(prompt);
    state.exact = undefined;
    state.early = undefined;
    this.#forget(state);
  }

  #learnTransition(state: RunState, agent: number, again: boolean, before: number): void {
    if (again) return this.#transitions.count(before, agent, agent);
    const { from } = state;
    for (const predecessor of from)
      this.#transitions.count(state.before, predecessor, agent, 1 / from.length);
  }

  #learnPrompt(state: RunState, agent: number, again: boolean, prompt: RequestStartEvent["prompt"]): void {
    this.#anchors.called(agent);
    const own = state.prompts[agent];
    if (own) this.#anchors.returned(agent, own, prompt);
    if (state.latestPrompt && !again) this.#anchors.followed(agent, state.latestPrompt, prompt);
    state.prompts[agent] = prompt;
    state.latestPrompt = prompt;
  }

  #startRun(run: RunId, session: SessionId | undefined): void {
    const state = this.#run(run);
    const earlier = session === undefined ? undefined : this.#suspended.get(session);
    if (session === undefined || !earlier) return;
    this.#suspended.delete(session);
    state.adopt(earlier);
  }

  #endRun({ run, session, status }: RunEndEvent): void {
    const state = this.#runs.get(run);
    if (!state) return;
    this.#forget(state);
    this.#runs.delete(run);
    if (status === "interrupted" && session !== undefined) {
      evictOldest(this.#suspended, MAX_SUSPENDED);
      this.#suspended.set(session, state);
      return;
    }
    for (let agent = 0; agent < state.lastStep.length; agent++) {
      const last = state.lastStep[agent];
      if (last) this.#returns.ended(agent, state.step - last);
    }
    if (status === "completed" && state.step > 0)
      for (const agent of state.frontier)
        this.#transitions.count(state.from[0] ?? START_INDEX, agent, END_INDEX, 1 / state.frontier.length);
  }

  #run(run: RunId): RunState {
    let state = this.#runs.get(run);
    if (!state) {
      const dropped = evictOldest(this.#runs, MAX_RUNS);
      if (dropped) this.#forget(dropped);
      this.#runs.set(run, (state = new RunState()));
    }
    return state;
  }
}

function promptLength({ anchor, history }: RequestStartEvent["prompt"]): number {
  let sum = anchor.length;
  for (const part of history) sum += part.length;
  return sum;
}

/** Makes room for one more entry; returns what had to go. */
function evictOldest<K, V>(map: Map<K, V>, limit: number): V | undefined {
  if (map.size < limit) return undefined;
  const oldest = map.entries().next();
  if (oldest.done) return undefined;
  map.delete(oldest.value[0]);
  return oldest.value[1];
}
