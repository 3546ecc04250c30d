import type { PrefixRef } from "../runtime/action.ts";
import {
  type AgentId,
  END,
  type Event,
  type PromptShape,
  type RequestStartEvent,
  type RunEndEvent,
  type RunId,
  type SessionId,
} from "../runtime/event.ts";
import type { Prediction, Predictor } from "../runtime/policy.ts";
import { Accuracy, type NextAgentAccuracy } from "./accuracy.ts";
import { Agents, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { Anchors } from "./anchors.ts";
import { answerOf, UNKNOWN } from "./answer.ts";
import { Branches } from "./branches.ts";
import { ExpectedReturns } from "./expected-returns.ts";
import { hitRateIndex } from "./horizon.ts";
import { lengthOf, lostOf, shareOf } from "./latest-prompts.ts";
import { Lessons } from "./lessons.ts";
import { NextCallers } from "./next-callers.ts";
import { Recurrence } from "./recurrence.ts";
import { ReturnTimes } from "./return-times.ts";
import { OpenRuns } from "./open-runs.ts";
import { Pace } from "./pace.ts";
import { MOST_INHERITED, type RunState } from "./run-state.ts";
import { BRANCH_SHARE, type LearnedState, parseState, ROOM } from "./state.ts";
import { ALL_KEPT, placeOf, returnOf, RETURNS, Survival } from "./survival.ts";
import { Threads } from "./threads.ts";
import { rateToValue } from "./value.ts";
import type { Changes } from "./waits.ts";

/**
 * The learned view of the future: which agents run next, and when a prefix is used again.
 *
 * A step is one model call of a run, so nodes that never call a model do not count. Learns from the first
 * call on; before that the declared graph speaks.
 */
export class LearnedPredictor implements Predictor {
  readonly #agents = new Agents();
  readonly #next: NextCallers;
  #returns = new ReturnTimes();
  readonly #lessons = new Lessons();
  readonly #recurrence = new Recurrence();
  #survival = new Survival();
  #pace = new Pace();
  #now = 0;
  #anchors = new Anchors();
  readonly #branches = new Branches();
  readonly #runs = new OpenRuns((dropped) => this.#leave(dropped));
  readonly #threads = new Threads();
  readonly #accuracy = new Accuracy();
  readonly #expected = new ExpectedReturns();
  readonly #opinion: number[] = [];
  readonly #kept = new Float64Array(RETURNS);

  /** @param forgets old counts are let go when the workload changes; not by one that only counts for others, see `take`. */
  constructor({ forgets = true } = {}) {
    this.#next = new NextCallers(this.#agents, forgets);
  }

  observe(event: Event): void {
    this.#now = Math.max(this.#now, event.at);
    this.#expected.forget();
    switch (event.type) {
      case "topology":
        return this.#next.declare(event);
      case "anchor":
        return this.#anchors.declare(this.#agents.index(event.agent), event.anchor.hash);
      case "run-start":
        return this.#startRun(event.run, event.session, event.at);
      case "agent-start":
        this.#runs.open(event.run).started(event.activation, event.agent);
        return;
      case "agent-end": {
        const ended = this.#runs.get(event.run)?.stopped(event.activation);
        if (ended && event.status === "completed") this.#next.activated(ended.agent, ended.called);
        return;
      }
      case "next-agents": {
        const state = this.#runs.open(event.run);
        for (const agent of event.agents) this.#agents.index(agent);
        state.early ??= state.predictions;
        state.exact = event.agents;
        this.#forget(state);
        return;
      }
      case "request-start":
        return this.#request(event);
      case "request-end": {
        const state = this.#runs.get(event.run);
        if (state?.request !== event.request) return;
        this.#pace.answered(event.at - state.since);
        state.isCalling = false;
        state.since = event.at;
        if (event.usage?.promptTokens !== undefined && state.prompts.latest)
          this.#anchors.usage(lengthOf(state.prompts.latest), event.usage.promptTokens);
        state.answered(answerOf(event.callsTools, event.usage?.outputTokens));
        if (state.answer !== UNKNOWN) this.#doubt(state);
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
    return (state.predictions ??= this.#next.list(run, this.#probabilities(state), state.covered));
  }

  branch(run: RunId, agent: AgentId): number {
    return this.#runs.get(run)?.prompts.of(this.#agents.find(agent) ?? OTHER_INDEX)?.branch ?? 0;
  }

  nextBranch(run: RunId, agent: AgentId): number {
    const state = this.#runs.get(run);
    return state ? this.#branches.next(state, this.#agents.find(agent) ?? OTHER_INDEX) : 0;
  }

  reuse(
    { agent, run, anchor, branch = 0 }: PrefixRef,
    fromEnd = Number.POSITIVE_INFINITY,
    fetchedAgain = 0,
  ): number {
    const index = this.#agents.find(agent);
    if (index === undefined) return 0;
    if (run === undefined) return this.#anchors.value(index, anchor, this.#runs.size);
    const place = placeOf(fromEnd);
    const isWhole = fromEnd === Number.POSITIVE_INFINITY;
    const state = this.#runs.holder(run);
    if (!state) return this.#reuseOfPaused(run, isWhole ? 1 : this.#survival.keptLater(index, place));
    const kept = isWhole ? ALL_KEPT : this.#survival.kept(index, place, this.#kept);
    const probabilities = this.#probabilities(state);
    if (index >= state.covered) return 0;
    const latest = state.prompts.of(index);
    const isLeft = latest !== undefined && latest.branch !== branch;
    const absence = state.step - (state.lastStep[index] || state.step);
    // Of an agent that the run has not called yet only the next step is known.
    const probability = isLeft ? 0 : (probabilities[index] as number);
    let rate = probability;
    if (latest && !isLeft) rate = hitRateIndex(this.#expected.of(this.#returns, state, index), kept, absence);
    if (this.#branches.has(index)) {
      const own = state.prompts.find(index, branch);
      if (own) rate = Math.max(rate, this.#branches.rate(state, index, own, place));
    }
    // What is fetched again in time is worth keeping for the next step only.
    const next = probability * (kept[returnOf(absence + 1)] as number);
    const rateToKeep = next * fetchedAgain + rate * (1 - fetchedAgain);
    const kind = state.isCalling ? undefined : state.tools;
    return rateToValue(this.#pace.relative(kind, this.#now - state.since) * rateToKeep);
  }

  /** Of a thread that comes back all prefixes are taken to be used again. */
  #reuseOfPaused(run: RunId, kept: number): number {
    const paused = this.#threads.find(run);
    return paused ? rateToValue(kept * this.#threads.rate(paused, this.#now, this.#pace.times)) : 0;
  }

  outlook(run: RunId): Changes {
    const state = this.#runs.get(run);
    if (state) return this.#pace.outlook(state.isCalling ? undefined : state.tools, this.#now - state.since);
    const paused = this.#threads.find(run);
    return paused ? this.#threads.outlook(paused, this.#now, this.#pace.times) : [];
  }

  soonest(run: RunId): number {
    const state = this.#runs.get(run);
    if (!state) return 0;
    const elapsed = this.#now - state.since;
    return Math.max(0, this.#pace.soonest(state.isCalling ? undefined : state.tools) - elapsed);
  }

  sharedHistory(agent: AgentId): number {
    return this.#anchors.shared(this.#agents.find(agent) ?? OTHER_INDEX);
  }

  keptHistory(agent: AgentId, fromEnd: number): number {
    return this.#survival.keptLater(this.#agents.find(agent) ?? OTHER_INDEX, placeOf(fromEnd));
  }

  tail(agent: AgentId, length: number): number {
    return this.#survival.tail(this.#agents.find(agent) ?? OTHER_INDEX, length);
  }

  tokens(characters: number): number {
    return this.#anchors.tokens(characters);
  }

  /** Next-agent accuracy since this predictor was made. */
  get accuracy(): NextAgentAccuracy {
    return this.#accuracy.value;
  }

  snapshot(): LearnedState {
    return this.#counted(ROOM);
  }

  /** @param room characters at most for return times of agents, and for all that is known of branches. */
  #counted(room: number): LearnedState {
    const branches = this.#branches.snapshot(room * BRANCH_SHARE);
    return {
      version: 5,
      agents: this.#agents.snapshot(),
      transitions: this.#next.snapshot(),
      returns: this.#returns.snapshot(room - Object.values(branches ?? {}).join("").length),
      survival: this.#survival.snapshot(),
      anchors: this.#anchors.snapshot(),
      pace: this.#pace.snapshot(),
      threads: this.#threads.snapshot(),
      ...(branches && { branches }),
    };
  }

  /**
   * What was counted since it was taken last, nothing twice; open runs go on. Not for a predictor that is asked: it would
   * forget what it knows.
   */
  take(): LearnedState {
    const counted = this.#counted(Number.POSITIVE_INFINITY);
    this.#next.take();
    this.#branches.take();
    this.#threads.take();
    this.#returns = new ReturnTimes();
    this.#survival = new Survival();
    this.#anchors = new Anchors();
    this.#pace = new Pace();
    return counted;
  }

  /** Adds a snapshot's counts to what is known. Throws InvalidOptionsError when it is not one. */
  restore(state: unknown): void {
    const { agents, transitions, returns, survival, anchors, pace, threads, branches } = parseState(state);
    const local = this.#agents.restore(agents);
    this.#next.restore(transitions, local);
    this.#returns.restore(returns, local);
    this.#survival.restore(survival, local);
    this.#pace.restore(pace);
    this.#threads.restore(threads);
    this.#anchors.restore(anchors, local);
    if (branches) this.#branches.restore(branches, local);
  }

  /** Probability of each agent to be next; of the first `state.covered` ones. */
  #probabilities(state: RunState): readonly number[] {
    if (state.covered > 0) return state.probabilities;
    const size = this.#agents.size;
    state.fit(size);
    state.covered = size;
    this.#next.predict(state, state.probabilities);
    if (!state.exact) this.#recurrence.mix(this.#returns, state, state.probabilities);
    this.#arrive(state, 1);
    return state.probabilities;
  }

  /** What was expected of a run is out of date. */
  #forget(state: RunState): void {
    this.#doubt(state);
    state.predictions = undefined;
  }

  /** The same, but for the list of next agents, whose accuracy is still to be scored. */
  #doubt(state: RunState): void {
    if (state.covered > 0) this.#arrive(state, -1);
    state.covered = 0;
  }

  /** The run is not open any more. */
  #leave(state: RunState): void {
    this.#forget(state);
    for (const [agent, anchor] of state.anchors.entries()) if (anchor) this.#anchors.left(agent, anchor);
  }

  #arrive({ probabilities, covered, anchors }: RunState, sign: 1 | -1): void {
    for (let agent = OTHER_INDEX + 1; agent < covered; agent++)
      this.#anchors.arrive(agent, anchors[agent], sign * (probabilities[agent] as number));
  }

  #request({ run, agent: name, namespace, step, prompt, request, at: now }: RequestStartEvent): void {
    const state = this.#runs.open(run);
    this.#pace.called(now);
    if (!state.isCalling && state.hasCalled)
      this.#pace.gap(state.tools, now - state.since, now - state.calledAt);
    state.isCalling = true;
    state.calledAt = now;
    state.since = now;
    const agent = this.#agents.index(name);
    state.fit(this.#agents.size);
    this.#learnOpinions(state, agent);
    const predicted = state.early ?? state.predictions;
    this.#forget(state);
    const again = state.frontier.includes(agent);
    const before = again ? state.from[0] : state.before;
    state.called(agent, namespace, step);
    if (this.#next.called(state, agent, again, before ?? START_INDEX)) this.#fade();
    if (predicted) {
      const from = again ? state.frontier : state.from;
      this.#accuracy.score(
        predicted,
        from.map((index) => this.#agents.name(index)),
        name,
      );
    }
    const last = state.lastStep[agent];
    if (last) {
      this.#lessons.returned(this.#returns, state, { agent, since: last });
      this.#anchors.away(agent, state.step + 1 - last, true);
    }
    this.#learnPrompt(state, agent, again, prompt);
    state.stepped(agent);
    state.activated(name);
    state.request = request;
    state.exact = undefined;
    state.early = undefined;
  }

  #learnOpinions(state: RunState, came: number): void {
    if (!this.#recurrence.isContest() || state.exact) return;
    while (this.#opinion.length < this.#agents.size) this.#opinion.push(0);
    this.#next.predict(state, this.#opinion);
    this.#recurrence.contest(this.#returns, state, this.#opinion, came);
  }

  #learnPrompt(state: RunState, agent: number, again: boolean, prompt: PromptShape): void {
    this.#anchors.called(agent, !state.hasCalled);
    const anchor = this.#anchors.used(agent, prompt.anchor.hash, state.anchors[agent]);
    state.anchors[agent] = anchor;
    const { prompts } = state;
    const { latest } = prompts;
    const own = prompts.of(agent);
    prompts.compare(prompt);
    const kept = own ? prompts.keptOf(own, prompt) : 0;
    if (own)
      this.#survival.returned(agent, state.step + 1 - (state.lastStep[agent] as number), lostOf(own, kept));
    else this.#anchors.visited(agent, anchor);
    if (latest && latest.length > 0 && !again)
      this.#anchors.followed(agent, shareOf(latest, prompts.commonWith(latest, prompt)));
    this.#branches.called(state, agent, prompt, kept);
  }

  #startRun(run: RunId, session: SessionId | undefined, now: number): void {
    const state = this.#runs.open(run);
    if (state.hasCalled) return;
    state.since = now;
    const paused = session === undefined ? undefined : this.#threads.resume(session, now);
    if (!paused) return;
    state.adopt(paused.state, paused.isInterrupted);
    this.#runs.inherit(state);
  }

  #endRun({ run, session, status }: RunEndEvent): void {
    const state = this.#runs.get(run);
    if (!state) return;
    const predicted = state.early ?? state.predictions;
    this.#leave(state);
    this.#runs.close(run);
    const isInterrupted = status === "interrupted";
    if (session !== undefined) {
      state.inherits = [...state.inherits, run].slice(-MOST_INHERITED);
      this.#threads.pause(run, { session, state, isInterrupted, since: state.since });
    }
    if (isInterrupted && session !== undefined) return;
    // Where threads go on as a rule, what comes back with the next run is not over.
    if (session === undefined || this.#threads.probability(false) < 0.5) this.#learnEnd(state);
    if (status !== "completed" || !state.hasCalled) return;
    if (this.#next.ended(state)) this.#fade();
    this.#accuracy.score(predicted, [], END);
  }

  #fade(): void {
    this.#returns.fade();
    this.#branches.fade();
  }

  #learnEnd(state: RunState): void {
    for (let agent = 0; agent < state.lastStep.length; agent++) {
      const last = state.lastStep[agent];
      if (!last) continue;
      this.#anchors.away(agent, state.step - last, false);
      this.#lessons.ended(this.#returns, state, { agent, since: last });
      this.#branches.ended(state, agent);
    }
  }
}
