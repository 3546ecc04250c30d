import type { AgentId, Identity, RunId } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";
import type { Prediction } from "../runtime/policy.ts";
import { AGENTS, START_INDEX } from "./agents.ts";
import type { AnchorVariant } from "./anchor-variants.ts";
import { ANSWERS, type Answer, toolsOf, UNKNOWN } from "./answer.ts";
import { LatestPrompts } from "./latest-prompts.ts";
import type { Whereabouts } from "./return-times.ts";

/** Calls whose circumstances are remembered; returns after more steps teach from the last ones only. */
const REMEMBERED = 64;
/** Calls in a row are counted this far. */
const MOST_TURNS = 12;
/** Ended runs of a thread that a run may take over from: what none of so many has used again is not expected any more. */
export const MOST_INHERITED = 256;
/** Activations of a run that are followed at once; the end of some is never seen. */
const MOST_ACTIVATIONS = 10_000;
const NONE: readonly RunId[] = [];

interface Activation {
  readonly agent: AgentId;
  /** Latest superstep of which all had ended when it began, as counted here: it follows that, whatever LangGraph's numbers say. */
  readonly after: number;
  /** Superstep, as counted here, of its latest model call; 0 before any. */
  superstep: number;
}

/** By agent, the set that has it alone. Nearly all frontiers are such, and thousands of runs share them. */
const alone: (readonly number[])[] = [];

/** What the predictor remembers of one open run. Agents are indices. */
export class RunState {
  /** Model calls so far, those of earlier runs of its thread among them. */
  step = 0;
  /** Those of earlier runs. */
  #inherited = 0;
  /** Step of each agent's latest call, 0 for none. */
  lastStep: number[] = [];
  readonly prompts = new LatestPrompts();
  /** By agent: the anchor of its latest call in this run. */
  anchors: (AnchorVariant | undefined)[] = [];
  /** Open activations, if there were any. */
  #activations: Map<string, Activation> | undefined;
  /**
   * The latest calls, by step modulo REMEMBERED: `(turns * AGENTS + agent) * ANSWERS + answer`; turns are the calls that the
   * agent has made in a row.
   */
  #calls: number[] = [0];
  /** Exactly known next agents, until one of them calls. */
  exact: readonly AgentId[] | undefined;
  /** By agent: probability to be next. */
  probabilities: number[] = [];
  /** Agents that these cover; 0 when they are out of date. */
  covered = 0;
  predictions: readonly Prediction[] | undefined;
  /** What was predicted before the exact next agents were known. */
  early: readonly Prediction[] | undefined;
  /** The latest request is under way. */
  isCalling = false;
  /** When it began, or when it ended. */
  since = 0;
  calledAt = 0;
  /** Of one whose end nobody sees: on a thread that may go on, or not. */
  endIsUnseen: "with thread" | "alone" | undefined;
  /** Such a one has been silent for so long that its end was learned from. */
  isOver = false;
  /** The latest request; its prompt is `prompts.latest`. */
  request = "";

  /** Ended runs of its thread, whose prefixes are its own now. */
  inherits: readonly RunId[] = NONE;

  /** The run itself has called the model. */
  get hasCalled(): boolean {
    return this.step > this.#inherited;
  }

  /** The agents active now: a set, since a superstep runs several. */
  frontier = setOf(START_INDEX);
  /** Agents that the frontier follows. */
  from = setOf(START_INDEX);
  /** What came before those. */
  before = START_INDEX;
  /** LangGraph's number of the superstep, which each invocation of a subgraph counts anew. */
  #superstep = -1;
  #namespace = "";
  /** Supersteps so far. */
  #supersteps = 1;
  /** Open activations that have called in the latest one. */
  #working = 0;
  /** The latest one whose activations had all ended. */
  #ended = 0;

  /**
   * Notes a model call; `from` and `before` then tell what it follows: the agents of the previous superstep, or the
   * agent itself when it calls again. Siblings of one superstep do not follow each other.
   */
  called(
    agent: number,
    { agent: name, namespace, step: superstep }: Pick<Identity, "agent" | "namespace" | "step">,
  ): void {
    if (this.frontier.includes(agent)) return;
    const isSame =
      superstep !== undefined && superstep === this.#superstep && areSiblings(namespace, this.#namespace);
    if (isSame && !this.#isLater(name)) {
      this.frontier = [...this.frontier, agent];
      return;
    }
    this.#supersteps++;
    this.#working = 0;
    this.before = this.from[0] ?? START_INDEX;
    this.from = this.frontier;
    this.frontier = setOf(agent);
    this.#superstep = superstep ?? -1;
    this.#namespace = namespace;
  }

  /** An activation of an agent began. */
  started(activation: string, agent: AgentId): void {
    this.#activations ??= new Newest(MOST_ACTIVATIONS);
    // Where the end of a run is unseen, so is that of its nodes: an activation is a call then.
    const after = this.endIsUnseen === undefined ? this.#ended : 0;
    this.#activations.set(activation, { agent, after, superstep: 0 });
  }

  /** It ended; what it was, if its begin was seen. */
  stopped(activation: string): Activation | undefined {
    const ended = this.#activations?.get(activation);
    this.#activations?.delete(activation);
    if (ended?.superstep === this.#supersteps && --this.#working === 0) this.#ended = this.#supersteps;
    return ended;
  }

  /** The agent's activations have called the model. */
  activated(agent: AgentId): void {
    if (!this.#activations) return;
    for (const activation of this.#activations.values()) {
      if (activation.agent !== agent || activation.superstep === this.#supersteps) continue;
      activation.superstep = this.#supersteps;
      this.#working++;
      this.#ended = 0;
    }
  }

  /** Whether the activation of an agent that has not called yet follows the latest superstep. */
  #isLater(agent: AgentId): boolean {
    if (!this.#activations) return false;
    for (const activation of this.#activations.values())
      if (activation.agent === agent && activation.superstep === 0)
        return activation.after === this.#supersteps;
    return false;
  }

  /** Counts the agent's call as the run's next step. */
  stepped(agent: number): void {
    const turns =
      this.step > 0 && this.lastStep[agent] === this.step ? Math.min(MOST_TURNS, this.turns + 1) : 1;
    this.lastStep[agent] = ++this.step;
    this.#calls[this.step % REMEMBERED] = (turns * AGENTS + agent) * ANSWERS + UNKNOWN;
  }

  /** Notes the latest call's answer. */
  answered(answer: Answer): void {
    const at = this.step % REMEMBERED;
    this.#calls[at] = (this.#calls[at] as number) - this.answer + answer;
  }

  /** The latest call's answer. */
  get answer(): Answer {
    return (this.#calls[this.step % REMEMBERED] as number) % ANSWERS;
  }

  /** Calls that the latest agent has made in a row; 0 before the first one. */
  get turns(): number {
    return turnsOf(this.#calls[this.step % REMEMBERED] as number);
  }

  /** Whether it asks for tools, see `toolsOf`. */
  get tools(): number {
    return toolsOf(this.answer);
  }

  /** The same while the run waits for what comes after its latest call; undefined while that is under way. */
  get gapKind(): number | undefined {
    return this.isCalling ? undefined : this.tools;
  }

  /** Whether it may have ended unseen. */
  get mayBeOver(): boolean {
    return this.endIsUnseen !== undefined && !this.isCalling;
  }

  /** First step from this one on that is still remembered. */
  rememberedSince(step: number): number {
    return Math.max(step, this.step - REMEMBERED + 2, 1);
  }

  /**
   * Fills in where the run was right after the call of `step`, as seen from one of its agents.
   *
   * @param since step of what counts as its latest call.
   */
  look(
    agent: number,
    step: number,
    out: Whereabouts,
    since: number = this.lastStep[agent] ?? step,
  ): Whereabouts {
    out.agent = agent;
    out.absence = step - since;
    const call = this.#calls[step % REMEMBERED] as number;
    out.answer = call % ANSWERS;
    out.current = agentOf(call);
    out.previous = step > 1 ? agentOf(this.#calls[(step - 1) % REMEMBERED] as number) : START_INDEX;
    const turns = turnsOf(call);
    out.turns = turns;
    out.before = step > turns ? agentOf(this.#calls[(step - turns) % REMEMBERED] as number) : START_INDEX;
    return out;
  }

  /** Makes room for so many agents, and no more: there may be thousands of runs. */
  fit(agents: number): void {
    const known = this.lastStep.length;
    if (known >= agents) return;
    const lastStep = Array<number>(agents).fill(0);
    const probabilities = Array<number>(agents).fill(0);
    const anchors = Array<AnchorVariant | undefined>(agents).fill(undefined);
    for (let agent = 0; agent < known; agent++) {
      lastStep[agent] = this.lastStep[agent] as number;
      probabilities[agent] = this.probabilities[agent] as number;
      anchors[agent] = this.anchors[agent];
    }
    this.lastStep = lastStep;
    this.probabilities = probabilities;
    this.anchors = anchors;
    this.prompts.fit(agents);
  }

  /** Takes over from the run that ended before on its thread. @param continues it goes on where that one was interrupted. */
  adopt(earlier: RunState, continues: boolean): void {
    this.step = earlier.step;
    this.#inherited = earlier.step;
    this.fit(earlier.lastStep.length);
    for (const [agent, step] of earlier.lastStep.entries()) this.lastStep[agent] = step;
    this.prompts.adopt(earlier.prompts);
    this.inherits = earlier.inherits;
    this.#calls = earlier.#calls;
    if (!continues) return;
    this.frontier = earlier.frontier;
    this.from = earlier.from;
    this.before = earlier.before;
  }
}

function agentOf(call: number): number {
  return ((call / ANSWERS) | 0) % AGENTS;
}

function turnsOf(call: number): number {
  return (call / (ANSWERS * AGENTS)) | 0;
}

function setOf(agent: number): readonly number[] {
  return (alone[agent] ??= [agent]);
}

/** Whether two checkpoint namespaces differ at most in their last part. */
function areSiblings(one: string, other: string): boolean {
  const slash = one.lastIndexOf("|");
  return (
    slash === other.lastIndexOf("|") &&
    one.slice(0, Math.max(0, slash)) === other.slice(0, Math.max(0, slash))
  );
}
