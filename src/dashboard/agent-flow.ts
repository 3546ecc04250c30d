import { type AgentId, END, type Event, type RunId, START, type TopologyEvent } from "../runtime/event.ts";
import type { Prediction, Predictor } from "../runtime/policy.ts";
import { Newest } from "../runtime/newest.ts";

/** From one agent to the next: how often it was so, and what had been said. */
export interface Transition {
  readonly from: AgentId;
  readonly to: AgentId;
  /** Times it happened. */
  count: number;
  /** Sum of the probabilities that had been given to it. */
  said: number;
}

/** Of the times that something was said to come with a probability of this tenth: how often it came. */
export interface CalibrationBin {
  predictions: number;
  said: number;
  happened: number;
}

interface RunPlace {
  agent: AgentId;
  predicted: readonly Prediction[] | undefined;
}

const MAX_RUNS = 10_000;
const MAX_AGENTS = 64;
const MAX_GRAPHS = 8;
const BINS = 10;
/** Stands for all agents beyond the first 64. */
const OTHERS = "(others)";

/** Who follows whom, and how good the predictions of it were. */
export class AgentFlow {
  readonly #predictor: Pick<Predictor, "next">;
  readonly #runs = new Newest<RunId, RunPlace>(MAX_RUNS);
  readonly #agents = new Map<AgentId, number>();
  readonly #transitions = new Map<AgentId, Map<AgentId, Transition>>();
  /** By agent: transitions from it that had been predicted. */
  readonly #asked = new Map<AgentId, number>();
  readonly #graphs = new Newest<string, TopologyEvent>(MAX_GRAPHS);
  readonly bins: readonly CalibrationBin[] = Array.from({ length: BINS }, () => ({
    predictions: 0,
    said: 0,
    happened: 0,
  }));

  constructor(predictor: Pick<Predictor, "next">) {
    this.#predictor = predictor;
  }

  /** Model calls by agent. */
  get agents(): ReadonlyMap<AgentId, number> {
    return this.#agents;
  }

  get graphs(): Iterable<TopologyEvent> {
    return this.#graphs.values();
  }

  *transitions(): Generator<Transition> {
    for (const row of this.#transitions.values()) yield* row.values();
  }

  /** Transitions from an agent that had been predicted. */
  asked(from: AgentId): number {
    return this.#asked.get(from) ?? 0;
  }

  /** Takes an event that the predictor has seen already: what it says now is about what comes after. */
  observe(event: Event): void {
    switch (event.type) {
      case "topology":
        this.#graphs.set(event.graph, event);
        return;
      case "run-start":
        this.#runs.set(event.run, { agent: START, predicted: this.#predictor.next(event.run) });
        return;
      case "request-start": {
        const agent = this.#known(event.agent);
        this.#agents.set(agent, (this.#agents.get(agent) ?? 0) + 1);
        const place = this.#runs.get(event.run);
        if (place) this.#came(place, agent);
        this.#runs.set(event.run, { agent, predicted: this.#predictor.next(event.run) });
        return;
      }
      case "request-end": {
        const place = this.#runs.get(event.run);
        if (place) place.predicted = this.#predictor.next(event.run);
        return;
      }
      case "run-end": {
        const place = this.#runs.get(event.run);
        this.#runs.delete(event.run);
        if (place && place.agent !== START && event.status === "completed") this.#came(place, END);
        return;
      }
      default:
        return;
    }
  }

  #came({ agent: from, predicted }: RunPlace, to: AgentId): void {
    this.#transition(from, to).count++;
    if (!predicted || predicted.length === 0) return;
    this.#asked.set(from, this.asked(from) + 1);
    let rest = 1;
    for (const { agent, probability } of predicted) {
      rest -= probability;
      this.#score(from, this.#known(agent), probability, to);
    }
    if (rest > 0.001) this.#score(from, END, rest, to);
  }

  #score(from: AgentId, agent: AgentId, probability: number, came: AgentId): void {
    if (probability > 0.001) this.#transition(from, agent).said += probability;
    const bin = this.bins[Math.min(BINS - 1, Math.floor(probability * BINS))];
    if (!bin) return;
    bin.predictions++;
    bin.said += probability;
    if (agent === came) bin.happened++;
  }

  #transition(from: AgentId, to: AgentId): Transition {
    let row = this.#transitions.get(from);
    if (!row) this.#transitions.set(from, (row = new Map()));
    let transition = row.get(to);
    if (!transition) row.set(to, (transition = { from, to, count: 0, said: 0 }));
    return transition;
  }

  /** Agents are as many as an app makes them, so that some may have to share a name. */
  #known(agent: AgentId): AgentId {
    if (this.#agents.has(agent)) return agent;
    if (this.#agents.size >= MAX_AGENTS) return OTHERS;
    this.#agents.set(agent, 0);
    return agent;
  }
}
