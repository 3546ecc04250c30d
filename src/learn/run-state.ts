import { type AgentId, type Identity, type PromptShape, START } from "../runtime/event.ts";
import type { Prediction } from "../runtime/policy.ts";

/** Who called the model in the superstep under way, and in the one before it. */
interface Superstep {
  readonly key: string;
  readonly agents: Set<AgentId>;
  /** The agents that the ones here follow; the first stands for them as context. */
  readonly from: readonly AgentId[];
  readonly previous: AgentId;
  /** What came before those. */
  readonly before: AgentId;
}

/** What the predictor remembers of one open run. */
export class RunState {
  /** Model calls so far. */
  step = 0;
  /** Step of each agent's latest call. */
  readonly lastStep = new Map<AgentId, number>();
  readonly prompts = new Map<AgentId, PromptShape>();
  latestPrompt: PromptShape | undefined;
  /** Open activations: has the agent called the model since it started? */
  readonly activations = new Map<string, { readonly agent: AgentId; called: boolean }>();
  /** Exactly known next agents, until one of them calls. */
  exact: readonly AgentId[] | undefined;
  predictions: readonly Prediction[] | undefined;
  /** What was predicted before the exact next agents were known. */
  early: readonly Prediction[] | undefined;
  /** Characters of each request under way, to learn tokens from its usage. */
  readonly requests = new Map<string, number>();
  #superstep: Superstep = {
    key: "",
    agents: new Set([START]),
    from: [START],
    previous: START,
    before: START,
  };

  /** The agents active now: a set, since a superstep runs several. */
  get frontier(): Iterable<AgentId> {
    return this.#superstep.agents;
  }

  /** What came before the frontier. */
  get before(): AgentId {
    return this.#superstep.previous;
  }

  /**
   * Notes a model call and returns the agents it follows, and what came before those: the agents of the previous
   * superstep, or the agent itself when it calls again. Siblings of one superstep do not follow each other.
   */
  called({ agent, namespace, step }: Identity): {
    readonly from: readonly AgentId[];
    readonly before: AgentId;
  } {
    const parent = namespace.includes("|") ? namespace.slice(0, namespace.lastIndexOf("|")) : "";
    const current = this.#superstep;
    const key = step === undefined ? `${this.step}` : `${parent}#${step}`;
    if (current.agents.has(agent)) return { from: [agent], before: current.previous };
    if (key === current.key) {
      current.agents.add(agent);
      return { from: current.from, before: current.before };
    }
    const from = [...current.agents];
    const previous = from[0] ?? START;
    this.#superstep = { key, agents: new Set([agent]), from, previous, before: current.previous };
    return { from, before: current.previous };
  }

  /** Takes over from the interrupted run that this one resumes. */
  adopt(earlier: RunState): void {
    this.step = earlier.step;
    for (const [agent, step] of earlier.lastStep) this.lastStep.set(agent, step);
    for (const [agent, prompt] of earlier.prompts) this.prompts.set(agent, prompt);
    this.latestPrompt = earlier.latestPrompt;
    this.#superstep = earlier.#superstep;
  }
}
