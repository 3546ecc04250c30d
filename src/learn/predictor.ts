import type { PrefixRef } from "../runtime/action.ts";
import {
  type AgentId,
  END,
  type Event,
  type PromptShape,
  type RequestStartEvent,
  type RunEndEvent,
  type RunId,
  type RunStartEvent,
  type Status,
} from "../runtime/event.ts";
import type { Prediction, Predictor } from "../runtime/policy.ts";
import { Accuracy, type NextAgentAccuracy } from "./accuracy.ts";
import { END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { answerOf, UNKNOWN } from "./answer.ts";
import { ExpectedReturns } from "./expected-returns.ts";
import { hitRateIndex } from "./horizon.ts";
import { lengthOf, lostOf, shareOf } from "./latest-prompts.ts";
import { Knowledge } from "./knowledge.ts";
import { Lessons } from "./lessons.ts";
import { Recurrence } from "./recurrence.ts";
import { OpenRuns } from "./open-runs.ts";
import { MOST_INHERITED, type RunState } from "./run-state.ts";
import { aliveAfter, SilentRuns } from "./silent-runs.ts";
import { type LearnedState, parseState, ROOM } from "./state.ts";
import { ALL_KEPT, placeOf, returnOf, RETURNS } from "./survival.ts";
import { rateToValue } from "./value.ts";
import type { Changes } from "./waits.ts";

/**
 * The learned view of the future: which agents run next, and when a prefix is used again.
 *
 * A step is one model call of a run, so nodes that never call a model do not count. Learns from the first
 * call on; before that the declared graph speaks.
 */
export class LearnedPredictor implements Predictor {
  readonly #known: Knowledge;
  readonly #lessons = new Lessons();
  readonly #recurrence = new Recurrence();
  #now = 0;
  readonly #runs = new OpenRuns((dropped) => this.#leave(dropped));
  readonly #silent = new SilentRuns();
  readonly #accuracy = new Accuracy();
  readonly #expected = new ExpectedReturns();
  readonly #opinion: number[] = [];
  readonly #kept = new Float64Array(RETURNS);

  /** @param forgets old counts are let go when the workload changes; not by one that only counts for others, see `take`. */
  constructor({ forgets = true } = {}) {
    this.#known = new Knowledge(forgets);
  }

  observe(event: Event): void {
    this.#now = Math.max(this.#now, event.at);
    this.#learnSilentEnd();
    this.#expected.forget();
    switch (event.type) {
      case "topology":
        return this.#known.next.declare(event);
      case "anchor":
        return this.#known.anchors.declare(this.#known.agents.index(event.agent), event.anchor.hash);
      case "run-start":
        return this.#startRun(event);
      case "agent-start":
        this.#runs.open(event.run).started(event.activation, event.agent);
        return;
      case "agent-end": {
        const ended = this.#runs.get(event.run)?.stopped(event.activation);
        if (ended && event.status === "completed")
          this.#known.next.activated(ended.agent, ended.superstep > 0);
        return;
      }
      case "next-agents": {
        const state = this.#runs.open(event.run);
        for (const agent of event.agents) this.#known.agents.index(agent);
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
        this.#known.pace.answered(event.at - state.since);
        state.isCalling = false;
        state.since = event.at;
        if (event.usage?.promptTokens !== undefined && state.prompts.latest)
          this.#known.anchors.usage(lengthOf(state.prompts.latest), event.usage.promptTokens);
        state.answered(answerOf(event.callsTools, event.usage?.outputTokens));
        if (state.answer !== UNKNOWN) this.#doubt(state);
        if (state.endIsUnseen) this.#silent.add(state);
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
    return (state.predictions ??= this.#known.next.list(run, this.#probabilities(state), state.covered));
  }

  branch(run: RunId, agent: AgentId): number {
    return this.#runs.get(run)?.prompts.of(this.#known.agents.find(agent) ?? OTHER_INDEX)?.branch ?? 0;
  }

  nextBranch(run: RunId, agent: AgentId): number {
    const state = this.#runs.get(run);
    return state ? this.#known.branches.next(state, this.#known.agents.find(agent) ?? OTHER_INDEX) : 0;
  }

  reuse(
    { agent, run, anchor, branch = 0 }: PrefixRef,
    fromEnd = Number.POSITIVE_INFINITY,
    fetchedAgain = 0,
  ): number {
    const { agents, anchors, branches, pace, returns, survival } = this.#known;
    const index = agents.find(agent);
    if (index === undefined) return 0;
    if (run === undefined) return anchors.value(index, anchor, this.#runs.size);
    const place = placeOf(fromEnd);
    const isWhole = fromEnd === Number.POSITIVE_INFINITY;
    const state = this.#runs.holder(run);
    if (!state) return this.#reuseOfPaused(run, isWhole ? 1 : survival.keptLater(index, place));
    const kept = isWhole ? ALL_KEPT : survival.kept(index, place, this.#kept);
    const probabilities = this.#probabilities(state);
    if (index >= state.covered) return 0;
    const latest = state.prompts.of(index);
    const isLeft = latest !== undefined && latest.branch !== branch;
    const absence = state.step - (state.lastStep[index] || state.step);
    // Of an agent that the run has not called yet only the next step is known.
    const probability = isLeft ? 0 : (probabilities[index] as number);
    let rate = probability;
    if (latest && !isLeft) rate = hitRateIndex(this.#expected.of(returns, state, index), kept, absence);
    if (branches.has(index)) {
      const own = state.prompts.find(index, branch);
      if (own) rate = Math.max(rate, branches.rate(state, index, own, place));
    }
    // What is fetched again in time is worth keeping for the next step only.
    const next = probability * (kept[returnOf(absence + 1)] as number);
    const rateToKeep = next * fetchedAgain + rate * (1 - fetchedAgain);
    const elapsed = this.#now - state.since;
    const steps = pace.relative(state.gapKind, elapsed);
    if (!state.mayBeOver) return rateToValue(steps * rateToKeep);
    const later = isWhole ? 1 : survival.keptLater(index, place);
    return rateToValue(this.#ifOver(state, steps * rateToKeep, elapsed, later));
  }

  /** What becomes of a rate if the run may be over and nobody has seen it, but a thread goes on. */
  #ifOver(state: RunState, rate: number, elapsed: number, kept = 1): number {
    const end = this.#probabilities(state)[END_INDEX] as number;
    const alive = aliveAfter(end, this.#known.pace.longer(state.tools, elapsed));
    if (state.endIsUnseen === "alone") return alive * rate;
    const paused = { isInterrupted: false, since: this.#now - elapsed };
    return (
      alive * rate + (1 - alive) * kept * this.#known.threads.rate(paused, this.#now, this.#known.pace.times)
    );
  }

  /** Of a thread that comes back all prefixes are taken to be used again. */
  #reuseOfPaused(run: RunId, kept: number): number {
    const paused = this.#known.threads.find(run);
    return paused
      ? rateToValue(kept * this.#known.threads.rate(paused, this.#now, this.#known.pace.times))
      : 0;
  }

  outlook(run: RunId): Changes {
    const state = this.#runs.get(run);
    if (state)
      return this.#known.pace.outlook(
        state.gapKind,
        this.#now - state.since,
        state.mayBeOver ? (rate, at) => this.#ifOver(state, rate, at) : undefined,
      );
    const paused = this.#known.threads.find(run);
    return paused ? this.#known.threads.outlook(paused, this.#now, this.#known.pace.times) : [];
  }

  soonest(run: RunId): number {
    const state = this.#runs.get(run);
    if (!state) return 0;
    const elapsed = this.#now - state.since;
    return Math.max(0, this.#known.pace.soonest(state.gapKind) - elapsed);
  }

  sharedHistory(agent: AgentId): number {
    return this.#known.anchors.shared(this.#known.agents.find(agent) ?? OTHER_INDEX);
  }

  keptHistory(agent: AgentId, fromEnd: number): number {
    return this.#known.survival.keptLater(this.#known.agents.find(agent) ?? OTHER_INDEX, placeOf(fromEnd));
  }

  tail(agent: AgentId, length: number): number {
    return this.#known.survival.tail(this.#known.agents.find(agent) ?? OTHER_INDEX, length);
  }

  tokens(characters: number): number {
    return this.#known.anchors.tokens(characters);
  }

  /** Next-agent accuracy since this predictor was made. */
  get accuracy(): NextAgentAccuracy {
    return this.#accuracy.value;
  }

  snapshot(): LearnedState {
    return this.#known.snapshot(ROOM);
  }

  /**
   * What was counted since it was taken last, nothing twice; open runs go on. Not for a predictor that is asked: it would
   * forget what it knows.
   */
  take(): LearnedState {
    return this.#known.take();
  }

  /** Adds a snapshot's counts to what is known. Throws InvalidOptionsError when it is not one. */
  restore(state: unknown): void {
    this.#known.restore(parseState(state));
  }

  /** Probability of each agent to be next; of the first `state.covered` ones. */
  #probabilities(state: RunState): readonly number[] {
    if (state.covered > 0) return state.probabilities;
    const size = this.#known.agents.size;
    state.fit(size);
    state.covered = size;
    this.#known.next.predict(state, state.probabilities);
    if (!state.exact) this.#recurrence.mix(this.#known.returns, state, state.probabilities);
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
    this.#silent.delete(state);
    for (const [agent, anchor] of state.anchors.entries())
      if (anchor) this.#known.anchors.left(agent, anchor);
  }

  #arrive({ probabilities, covered, anchors }: RunState, sign: 1 | -1): void {
    for (let agent = OTHER_INDEX + 1; agent < covered; agent++)
      this.#known.anchors.arrive(agent, anchors[agent], sign * (probabilities[agent] as number));
  }

  #request(event: RequestStartEvent): void {
    const { run, agent: name, prompt, request, at: now } = event;
    const state = this.#runs.open(run);
    this.#known.pace.called(now);
    if (!state.isCalling && state.hasCalled)
      this.#known.pace.gap(state.tools, now - state.since, now - state.calledAt);
    if (state.endIsUnseen) this.#silent.delete(state);
    state.isOver = false;
    state.isCalling = true;
    state.calledAt = now;
    state.since = now;
    const agent = this.#known.agents.index(name);
    state.fit(this.#known.agents.size);
    this.#learnOpinions(state, agent);
    const predicted = state.early ?? state.predictions;
    this.#forget(state);
    const again = state.frontier.includes(agent);
    const before = again ? state.from[0] : state.before;
    state.called(agent, event);
    if (this.#known.next.called(state, agent, again, before ?? START_INDEX)) this.#known.fade();
    if (predicted) {
      const from = again ? state.frontier : state.from;
      this.#accuracy.score(
        predicted,
        from.map((index) => this.#known.agents.name(index)),
        name,
      );
    }
    const last = state.lastStep[agent];
    if (last) {
      this.#lessons.returned(this.#known.returns, state, { agent, since: last });
      this.#known.anchors.away(agent, state.step + 1 - last, true);
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
    while (this.#opinion.length < this.#known.agents.size) this.#opinion.push(0);
    this.#known.next.predict(state, this.#opinion);
    this.#recurrence.contest(this.#known.returns, state, this.#opinion, came);
  }

  #learnPrompt(state: RunState, agent: number, again: boolean, prompt: PromptShape): void {
    this.#known.anchors.called(agent, !state.hasCalled);
    const anchor = this.#known.anchors.used(agent, prompt.anchor.hash, state.anchors[agent]);
    state.anchors[agent] = anchor;
    const { prompts } = state;
    const { latest } = prompts;
    const own = prompts.of(agent);
    prompts.compare(prompt);
    const kept = own ? prompts.keptOf(own, prompt) : 0;
    if (own)
      this.#known.survival.returned(
        agent,
        state.step + 1 - (state.lastStep[agent] as number),
        lostOf(own, kept),
      );
    else this.#known.anchors.visited(agent, anchor);
    if (latest && latest.length > 0 && !again)
      this.#known.anchors.followed(agent, shareOf(latest, prompts.commonWith(latest, prompt)));
    this.#known.branches.called(state, agent, prompt, kept);
  }

  #startRun({ run, session, at: now, endIsUnseen }: RunStartEvent): void {
    const state = this.#runs.open(run);
    if (endIsUnseen) state.endIsUnseen = session === undefined ? "alone" : "with thread";
    if (state.hasCalled) return;
    state.since = now;
    const paused = session === undefined ? undefined : this.#known.threads.resume(session, now);
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
      this.#known.threads.pause(run, { session, state, isInterrupted, since: state.since });
    }
    if (isInterrupted && session !== undefined) return;
    if (!state.isOver) this.#learnEnd(state, session !== undefined, status, predicted);
  }

  #learnSilentEnd(): void {
    const { longest } = this.#known.pace;
    const state = longest === undefined ? undefined : this.#silent.over(this.#now, longest);
    if (!state) return;
    state.isOver = true;
    this.#learnEnd(state, state.endIsUnseen === "with thread", "completed", state.early ?? state.predictions);
  }

  #learnEnd(
    state: RunState,
    hasThread: boolean,
    status: Status,
    predicted: readonly Prediction[] | undefined,
  ): void {
    // Where threads go on as a rule, what comes back with the next run is not over.
    if (!hasThread || this.#known.threads.probability(false) < 0.5) this.#learnAbsences(state);
    if (status !== "completed" || !state.hasCalled) return;
    if (this.#known.next.ended(state)) this.#known.fade();
    this.#accuracy.score(predicted, [], END);
  }

  /** None of its agents calls again. */
  #learnAbsences(state: RunState): void {
    for (let agent = 0; agent < state.lastStep.length; agent++) {
      const last = state.lastStep[agent];
      if (!last) continue;
      this.#known.anchors.away(agent, state.step - last, false);
      this.#lessons.ended(this.#known.returns, state, { agent, since: last });
      this.#known.branches.ended(state, agent);
    }
  }
}
