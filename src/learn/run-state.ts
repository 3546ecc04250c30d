import type { AgentId, PromptShape, RunId } from "../runtime/event.ts";
import type { Prediction } from "../runtime/policy.ts";
import { START_INDEX } from "./agents.ts";
import { BUCKETS } from "./horizon.ts";
import { TOOLS_UNKNOWN, type Whereabouts } from "./return-times.ts";

const START: readonly number[] = [START_INDEX];
/** Calls whose circumstances are remembered; returns after more steps teach from the last ones only. */
const REMEMBERED = 64;

/** What the predictor remembers of one open run. Agents are indices. */
export class RunState {
  /** Model calls so far. */
  step = 0;
  /** Step of each agent's latest call, 0 for none. */
  readonly lastStep: number[] = [];
  readonly prompts: (PromptShape | undefined)[] = [];
  latestPrompt: PromptShape | undefined;
  /** Open activations: has the agent called the model since it started? */
  readonly activations = new Map<string, { readonly agent: AgentId; called: boolean }>();
  /** Agents of the latest calls and what they asked for, by step modulo REMEMBERED. */
  readonly #callers = new Uint8Array(REMEMBERED);
  readonly #tools = new Uint8Array(REMEMBERED);
  /** By agent, BUCKETS numbers each: probabilities of its return times, where `isKnown` has a 1. */
  returns = new Float32Array(8 * BUCKETS);
  #isKnown = new Uint8Array(8);
  /** Exactly known next agents, until one of them calls. */
  exact: readonly AgentId[] | undefined;
  /** By agent: probability to be next. */
  probabilities = new Float64Array(8);
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
  /** The latest request and its characters, to learn from its usage how many tokens they are. */
  request = "";
  requestLength = 0;

  /** Ended runs of its thread, whose prefixes are its own now. */
  readonly inherits: RunId[] = [];

  /** The agents active now: a set, since a superstep runs several. */
  frontier: number[] = [START_INDEX];
  /** Agents that the frontier follows. */
  from: readonly number[] = START;
  /** What came before those. */
  before = START_INDEX;
  #superstep = -1;
  #parent = "";

  /**
   * Notes a model call; `from` and `before` then tell what it follows: the agents of the previous superstep, or the
   * agent itself when it calls again. Siblings of one superstep do not follow each other.
   */
  called(agent: number, namespace: string, superstep: number | undefined): void {
    if (this.frontier.includes(agent)) return;
    const slash = namespace.lastIndexOf("|");
    const parent = slash < 0 ? "" : namespace.slice(0, slash);
    if (superstep !== undefined && superstep === this.#superstep && parent === this.#parent) {
      this.frontier.push(agent);
      return;
    }
    this.before = this.from[0] ?? START_INDEX;
    this.from = this.frontier;
    this.frontier = [agent];
    this.#superstep = superstep ?? -1;
    this.#parent = parent;
  }

  /** Notes who made the call that `step` counts now. */
  stepped(agent: number): void {
    this.#callers[this.step % REMEMBERED] = agent;
    this.#tools[this.step % REMEMBERED] = TOOLS_UNKNOWN;
  }

  /** Notes whether the latest call asked for tools. */
  asked(tools: number): void {
    this.#tools[this.step % REMEMBERED] = tools;
  }

  /** What the latest call asked for. */
  get tools(): number {
    return this.#tools[this.step % REMEMBERED] as number;
  }

  /** First step from an agent's latest call on that is still remembered. */
  rememberedSince(agent: number): number {
    return Math.max(this.lastStep[agent] ?? 0, this.step - REMEMBERED + 2, 1);
  }

  /** Fills in where the run was right after the call of `step`, as seen from an agent that called at `lastStep` of it. */
  look(agent: number, step: number, out: Whereabouts): Whereabouts {
    out.agent = agent;
    out.absence = step - (this.lastStep[agent] ?? step);
    out.current = this.#callers[step % REMEMBERED] as number;
    out.previous = step > 1 ? (this.#callers[(step - 1) % REMEMBERED] as number) : START_INDEX;
    out.tools = this.#tools[step % REMEMBERED] as number;
    return out;
  }

  /** Makes room for so many agents. */
  fit(agents: number): void {
    if (this.probabilities.length >= agents) return;
    const size = 2 * agents;
    this.probabilities = new Float64Array(size);
    this.returns = new Float32Array(size * BUCKETS);
    this.#isKnown = new Uint8Array(size);
  }

  isKnown(agent: number): boolean {
    return this.#isKnown[agent] === 1;
  }

  known(agent: number): void {
    this.#isKnown[agent] = 1;
  }

  /** What was expected of the run is out of date. */
  forget(): void {
    this.covered = 0;
    this.#isKnown.fill(0);
  }

  /** Takes over from the run that ended before on its thread. @param continues it goes on where that one was interrupted. */
  adopt(earlier: RunState, continues: boolean): void {
    this.step = earlier.step;
    this.lastStep.push(...earlier.lastStep);
    this.prompts.push(...earlier.prompts);
    this.latestPrompt = earlier.latestPrompt;
    this.inherits.push(...earlier.inherits);
    if (continues) {
      this.frontier = earlier.frontier;
      this.from = earlier.from;
      this.before = earlier.before;
    }
    this.#callers.set(earlier.#callers);
    this.#tools.set(earlier.#tools);
  }
}
