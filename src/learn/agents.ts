import { type AgentId, END, START } from "../runtime/event.ts";

/** Indices of the two that are no agents: before the first, and after the last. */
export const START_INDEX = 0;
export const END_INDEX = 1;
/** Agents beyond the limit share this index; nothing is predicted for them. */
export const OTHER_INDEX = 2;
/** No index is this large: it has 7 bits, so that a key of `ReturnTimes`, which holds three of them, fits into 31. */
export const AGENTS = 128;

/** Numbers agents densely, so that counts live in flat arrays and state stays bounded. */
export class Agents {
  readonly #indices = new Map<AgentId, number>([
    [START, START_INDEX],
    [END, END_INDEX],
  ]);
  readonly #names: AgentId[] = [START, END, ""];

  /** Indices in use are below this. */
  get size(): number {
    return this.#names.length;
  }

  /** Index of an agent, new ones included. */
  index(agent: AgentId): number {
    const known = this.#indices.get(agent);
    if (known !== undefined) return known;
    if (this.#names.length >= AGENTS) return OTHER_INDEX;
    this.#indices.set(agent, this.#names.length);
    return this.#names.push(agent) - 1;
  }

  /** Like `index`, but learns no new name. */
  find(agent: AgentId): number | undefined {
    return this.#indices.get(agent);
  }

  name(index: number): AgentId {
    return this.#names[index] ?? "";
  }

  /** Names by index; the first three are no agents. */
  snapshot(): AgentId[] {
    return [...this.#names];
  }

  /** Learns another process's names. @returns what translates its indices to own ones. */
  restore(names: readonly AgentId[]): (index: number) => number {
    const own = names.map((name, index) => (index <= OTHER_INDEX ? index : this.index(name)));
    return (index) => own[index] ?? OTHER_INDEX;
  }
}
