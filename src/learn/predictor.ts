import type { PrefixRef } from "../runtime/action.ts";
import {
  type AgentId,
  END,
  type Event,
  type RequestStartEvent,
  type RunEndEvent,
  type RunId,
  type SessionId,
} from "../runtime/event.ts";
import type { Prediction, Predictor } from "../runtime/policy.ts";
import { Accuracy, type NextAgentAccuracy } from "./accuracy.ts";
import { Anchors } from "./anchors.ts";
import { StructuralPrior } from "./prior.ts";
import { Returns } from "./returns.ts";
import { RunState } from "./run-state.ts";
import { type LearnedState, parseState } from "./state.ts";
import { Transitions } from "./transitions.ts";

/** Open runs kept; runs whose end is never seen leave oldest first. */
const MAX_RUNS = 10_000;
const MAX_SUSPENDED = 1024;

/**
 * The learned view of the future: which agents run next, and when a prefix is used again.
 *
 * A step is one model call of a run, so nodes that never call a model do not count. Learns from the first
 * call on; before that the declared graph speaks.
 */
export class LearnedPredictor implements Predictor {
  readonly #prior = new StructuralPrior();
  readonly #transitions = new Transitions(this.#prior);
  readonly #returns = new Returns();
  readonly #anchors = new Anchors();
  readonly #runs = new Map<RunId, RunState>();
  readonly #suspended = new Map<SessionId, RunState>();
  readonly #accuracy = new Accuracy();

  observe(event: Event): void {
    switch (event.type) {
      case "topology":
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
        state.predictions = undefined;
        return;
      }
      case "request-start":
        return this.#request(event);
      case "request-end": {
        const requests = this.#runs.get(event.run)?.requests;
        const length = requests?.get(event.request);
        requests?.delete(event.request);
        if (length !== undefined) this.#anchors.usage(length, event.usage?.promptTokens ?? 0);
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
    return (state.predictions ??= this.#predict(run, state));
  }

  reuse({ agent, run }: PrefixRef): number {
    if (run === undefined) return this.#anchors.value(agent, this.#runs.size);
    const state = this.#runs.get(run);
    if (!state) return 0;
    let next = 0;
    for (const prediction of this.next(run)) if (prediction.agent === agent) next = prediction.probability;
    const last = state.lastStep.get(agent);
    const later = last === undefined ? 0 : this.#returns.value(agent, state.step - last + 1);
    return Math.min(1, (next + (1 - next) * later) * this.#anchors.kept(agent));
  }

  sharedHistory(agent: AgentId): number {
    return this.#anchors.shared(agent);
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
      transitions: [...this.#transitions.entries()],
      returns: [...this.#returns.entries()],
      anchors: this.#anchors.snapshot(),
    };
  }

  /** Adds a snapshot's counts to what is known. Throws InvalidOptionsError when it is not one. */
  restore(state: unknown): void {
    const { transitions, returns, anchors } = parseState(state);
    for (const entry of transitions) this.#transitions.add(entry);
    for (const entry of returns) this.#returns.add(entry);
    this.#anchors.add(anchors);
  }

  #predict(run: RunId, state: RunState): readonly Prediction[] {
    const sum = new Map<AgentId, number>();
    const add = (rows: Map<AgentId, number> | ReadonlyMap<AgentId, number>, weight: number) => {
      for (const [agent, probability] of rows)
        if (agent !== END) sum.set(agent, (sum.get(agent) ?? 0) + weight * probability);
    };
    if (state.exact) {
      for (const agent of new Set(state.exact)) add(this.#firstCallers(agent), 1);
    } else {
      const frontier = [...state.frontier];
      for (const agent of frontier) add(this.#transitions.next(state.before, agent), 1 / frontier.length);
    }
    return [...sum]
      .map(([agent, probability]) => ({ run, agent, probability: Math.min(1, probability) }))
      .toSorted((a, b) => b.probability - a.probability);
  }

  /** An exactly known next node may make no model call itself; then those after it do. */
  #firstCallers(agent: AgentId): ReadonlyMap<AgentId, number> {
    return this.#prior.isSilent(agent) ? this.#prior.after(agent) : new Map([[agent, 1]]);
  }

  #request(event: RequestStartEvent): void {
    const { agent, run, prompt } = event;
    const state = this.#run(run);
    const predicted = state.early ?? state.predictions;
    const { from, before } = state.called(event);
    this.#accuracy.score(predicted, from, agent);
    for (const predecessor of from) this.#transitions.count(before, predecessor, agent, 1 / from.length);
    state.step++;
    const last = state.lastStep.get(agent);
    if (last !== undefined) this.#returns.returned(agent, state.step - last);
    state.lastStep.set(agent, state.step);
    this.#anchors.called(agent);
    const own = state.prompts.get(agent);
    if (own) this.#anchors.returned(agent, own, prompt);
    if (state.latestPrompt && !from.includes(agent))
      this.#anchors.followed(agent, state.latestPrompt, prompt);
    state.prompts.set(agent, prompt);
    state.latestPrompt = prompt;
    for (const activation of state.activations.values())
      if (activation.agent === agent) activation.called = true;
    state.requests.set(event.request, promptLength(event));
    state.exact = undefined;
    state.early = undefined;
    state.predictions = undefined;
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
    this.#runs.delete(run);
    if (status === "interrupted" && session !== undefined) {
      evictOldest(this.#suspended, MAX_SUSPENDED);
      this.#suspended.set(session, state);
      return;
    }
    for (const [agent, step] of state.lastStep) this.#returns.ended(agent, state.step - step);
    if (status === "completed" && state.step > 0)
      for (const agent of state.frontier) this.#transitions.count(state.before, agent, END);
  }

  #run(run: RunId): RunState {
    let state = this.#runs.get(run);
    if (!state) {
      evictOldest(this.#runs, MAX_RUNS);
      this.#runs.set(run, (state = new RunState()));
    }
    return state;
  }
}

function promptLength({ prompt }: RequestStartEvent): number {
  let sum = prompt.anchor.length;
  for (const part of prompt.history) sum += part.length;
  return sum;
}

function evictOldest<K, V>(map: Map<K, V>, limit: number): void {
  if (map.size < limit) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
