import type { AgentId, Event } from "../runtime/event.ts";

/** Share of the newest answer in an agent's average. */
const NEWEST = 0.2;
const ANSWERS_NEEDED = 3;
const MAX_AGENTS = 1024;

/** How long each agent's answers are, learned from its requests. */
export class OutputLengths {
  readonly #agents = new Map<AgentId, { mean: number; count: number }>();

  observe(event: Event): void {
    if (event.type !== "request-end" || event.usage?.outputTokens === undefined) return;
    const { outputTokens } = event.usage;
    const known = this.#agents.get(event.agent);
    if (known) {
      known.mean += (outputTokens - known.mean) * Math.max(NEWEST, 1 / ++known.count);
    } else if (this.#agents.size < MAX_AGENTS) {
      this.#agents.set(event.agent, { mean: outputTokens, count: 1 });
    }
  }

  /** Expected output tokens, at least 1; undefined until three answers are known. */
  of(agent: AgentId): number | undefined {
    const known = this.#agents.get(agent);
    return known && known.count >= ANSWERS_NEEDED ? Math.max(1, Math.round(known.mean)) : undefined;
  }
}
