import type { Advice, Outcome, PrefetchHint, SpeculateHint } from "./action.ts";
import type { AgentId, Event, RunId } from "./event.ts";

/** What is done before anyone asks for it. */
export type AheadHint = PrefetchHint | SpeculateHint;

/** Tells work ahead from other advice. */
export function isAhead(action: Advice): action is AheadHint {
  return action.type === "prefetch" || action.type === "speculate";
}

/**
 * The tokens of all work ahead for one engine, whoever wanted it: prefetches and nodes that run early, until they are used,
 * withdrawn or turn out not to be carried out.
 */
export class AheadBudget {
  /** Most tokens at a time. */
  readonly limit: number;
  /** By run (the empty one: anchors) and by agent. */
  readonly #taken = new Map<RunId, Map<AgentId, Map<AheadHint["type"], number>>>();
  #tokens = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Tokens taken at the moment. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Takes the tokens of a hint; what it took before for the same prefix is given back. False, and nothing, when they are too many. */
  take({ type, prefix: { run = "", agent }, tokens }: AheadHint): boolean {
    const before = this.#taken.get(run)?.get(agent)?.get(type) ?? 0;
    if (this.#tokens - before + tokens > this.limit) return false;
    let agents = this.#taken.get(run);
    if (!agents) this.#taken.set(run, (agents = new Map()));
    let verbs = agents.get(agent);
    if (!verbs) agents.set(agent, (verbs = new Map()));
    verbs.set(type, tokens);
    this.#tokens += tokens - before;
    return true;
  }

  /** The prefix was asked for, or what was done about it is withdrawn. */
  giveBack(run: RunId, agent: AgentId, type: AheadHint["type"]): void {
    const agents = this.#taken.get(run);
    const verbs = agents?.get(agent);
    const tokens = verbs?.get(type);
    if (!agents || !verbs || tokens === undefined) return;
    this.#tokens -= tokens;
    verbs.delete(type);
    if (verbs.size === 0) agents.delete(agent);
    if (agents.size === 0) this.#taken.delete(run);
  }

  observe(event: Event): void {
    if (this.#taken.size === 0) return;
    if (event.type === "request-start") {
      this.giveBack(event.run, event.agent, "prefetch");
      this.giveBack("", event.agent, "prefetch");
    } else if (event.type === "run-end") {
      for (const [agent, verbs] of this.#taken.get(event.run) ?? [])
        for (const type of verbs.keys()) this.giveBack(event.run, agent, type);
    }
  }

  /** What was prefetched counts until it is used; a node that ran early is over either way. */
  settle(action: Advice, { status }: Outcome): void {
    if (!isAhead(action) || (action.type === "prefetch" && status === "applied")) return;
    this.giveBack(action.prefix.run ?? "", action.prefix.agent, action.type);
  }
}
