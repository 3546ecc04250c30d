import type { Event, PromptPart, Status } from "../../src/runtime/event.ts";

/** Writes the events of an imaginary LangGraph.js app, with a clock that ticks once per event. */
export class App {
  time = 0;
  #requests = 0;
  readonly #histories = new Map<string, PromptPart[]>();
  readonly #isShared: boolean;

  /** @param isShared agents of a run see one history; false: each has its own. */
  constructor(isShared = true) {
    this.#isShared = isShared;
  }

  start(run: string, session?: string): Event {
    return { type: "run-start", at: ++this.time, run, ...(session !== undefined && { session }) };
  }

  end(run: string, status: Status = "completed", session?: string): Event {
    return { type: "run-end", at: ++this.time, run, status, ...(session !== undefined && { session }) };
  }

  /** A model call of `agent`; every call adds one message of 400 characters to the history. */
  call(run: string, agent: string, step?: number): Event {
    const owner = this.#isShared ? run : `${run}/${agent}`;
    const history = this.#histories.get(owner) ?? [];
    this.#histories.set(owner, [...history, { hash: `${owner}:${history.length}`, length: 400 }]);
    return {
      type: "request-start",
      at: ++this.time,
      run,
      agent,
      namespace: agent,
      ...(step !== undefined && { step }),
      request: `request-${++this.#requests}`,
      prompt: { anchor: { hash: `anchor:${agent}`, length: 4000 }, history },
    };
  }

  next(run: string, from: string, ...agents: string[]): Event {
    return { type: "next-agents", at: ++this.time, run, from, agents, source: "router" };
  }

  /** The same, but the app says so while the node is at work. */
  announced(run: string, from: string, ...agents: string[]): Event {
    return { type: "next-agents", at: ++this.time, run, from, agents, source: "app" };
  }

  /** A whole run that visits these agents in turn. */
  run(run: string, ...agents: string[]): Event[] {
    return [this.start(run), ...agents.map((agent, step) => this.call(run, agent, step + 1)), this.end(run)];
  }
}
