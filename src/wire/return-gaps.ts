import type { AgentId, Event } from "../runtime/event.ts";

/** Share of the newest gap in an agent's average. */
const NEWEST = 0.25;
const MAX_AGENTS = 1024;

/** How long an agent's anchor lies unused between two requests of any run, in milliseconds. */
export class ReturnGaps {
  readonly #agents = new Map<AgentId, { lastAt: number; mean: number | undefined }>();

  observe(event: Event): void {
    if (event.type !== "request-start" && event.type !== "request-end") return;
    const known = this.#agents.get(event.agent);
    if (!known) {
      if (this.#agents.size < MAX_AGENTS)
        this.#agents.set(event.agent, { lastAt: event.at, mean: undefined });
      return;
    }
    if (event.type === "request-start") {
      const gap = event.at - known.lastAt;
      known.mean = known.mean === undefined ? gap : known.mean + (gap - known.mean) * NEWEST;
    }
    known.lastAt = event.at;
  }

  /** Undefined until an agent came a second time. */
  of(agent: AgentId): number | undefined {
    return this.#agents.get(agent)?.mean;
  }
}
