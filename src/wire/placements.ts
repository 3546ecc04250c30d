import { LRUCache } from "lru-cache";
import type { AgentId, SessionId } from "../runtime/event.ts";

/** Prefixes whose place is remembered; that of what was used longest ago is forgotten first. */
const MAX_PREFIXES = 20_000;

/** Which server each session, and each of its agents, was sent to last, where it was not left to chance. */
export class Placements<Server extends object> {
  readonly #servers = new LRUCache<string, Server>({ max: MAX_PREFIXES });

  /** Whether anyone places sessions. */
  get isUsed(): boolean {
    return this.#servers.size > 0;
  }

  place(session: SessionId, agent: AgentId, server: Server): void {
    this.#servers.set(session, server);
    this.#servers.set(keyOf(session, agent), server);
  }

  /** The server of an agent's prefix in a session, else that of the session, whose history the prefix will begin with. */
  of(session: SessionId, agent: AgentId): Server | undefined {
    return this.#servers.get(keyOf(session, agent)) ?? this.#servers.get(session);
  }
}

function keyOf(session: SessionId, agent: AgentId): string {
  return `${session}\n${agent}`;
}
