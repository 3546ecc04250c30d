import type { AgentId, Event, RequestStartEvent, RunId, SessionId, Status } from "../runtime/event.ts";
import { Newest } from "../runtime/newest.ts";

/** One model call of a run; times in milliseconds on the runtime's clock. */
export interface Step {
  readonly request: string;
  readonly agent: AgentId;
  readonly startedAt: number;
  firstTokenAt?: number;
  endedAt?: number;
  status?: Status;
  promptTokens?: number;
  cachedTokens?: number;
  outputTokens?: number;
}

/** One tool call of a run. */
export interface ToolSpan {
  readonly call: string;
  readonly tool: string;
  readonly agent: AgentId;
  readonly startedAt: number;
  endedAt?: number;
}

export interface RunTimeline {
  readonly run: RunId;
  readonly session: SessionId | undefined;
  readonly graph: string | undefined;
  readonly startedAt: number;
  endedAt?: number;
  status?: Status;
  /** Model calls made; `steps` has the latest of them. */
  calls: number;
  readonly steps: Step[];
  readonly tools: ToolSpan[];
}

const MAX_RUNS = 60;
/** Calls, and tool calls, kept of a run. */
const MAX_STEPS = 200;

/** What the newest runs did, call by call. */
export class RunTimelines {
  readonly #runs = new Newest<RunId, RunTimeline>(MAX_RUNS);

  /** Newest first. */
  get newest(): readonly RunTimeline[] {
    return [...this.#runs.values()].toReversed();
  }

  get(run: RunId): RunTimeline | undefined {
    return this.#runs.get(run);
  }

  observe(event: Event): void {
    switch (event.type) {
      case "run-start": {
        const { run, session, graph, at } = event;
        this.#runs.set(run, { run, session, graph, startedAt: at, calls: 0, steps: [], tools: [] });
        return;
      }
      case "run-end": {
        const run = this.#runs.get(event.run);
        if (!run) return;
        run.endedAt = event.at;
        run.status = event.status;
        return;
      }
      case "request-start":
        return this.#start(event);
      case "request-first-token": {
        const step = this.#step(event.run, event.request);
        if (step) step.firstTokenAt = event.at;
        return;
      }
      case "request-end": {
        const step = this.#step(event.run, event.request);
        if (step) Object.assign(step, event.usage, { endedAt: event.at, status: event.status });
        return;
      }
      case "tool-start": {
        const { call, tool, agent, at } = event;
        push(this.#runs.get(event.run)?.tools, { call, tool, agent, startedAt: at });
        return;
      }
      case "tool-end": {
        const span = this.#runs.get(event.run)?.tools.findLast(({ call }) => call === event.call);
        if (span) span.endedAt = event.at;
        return;
      }
      default:
        return;
    }
  }

  #start({ run: id, at, request, agent }: RequestStartEvent): void {
    const run = this.#runs.get(id);
    if (!run) return;
    run.calls++;
    push(run.steps, { request, agent, startedAt: at });
  }

  #step(run: RunId, request: string): Step | undefined {
    return this.#runs.get(run)?.steps.findLast((step) => step.request === request);
  }
}

function push<T>(list: T[] | undefined, item: T): void {
  if (!list) return;
  list.push(item);
  if (list.length > MAX_STEPS) list.shift();
}
