import type { Advice, PrefetchHint, Settlement, SpeculateHint } from "./action.ts";
import type { AgentId, Event, RunId } from "./event.ts";

/** What is done before anyone asks for it. */
export type AheadHint = PrefetchHint | SpeculateHint;

/** Tells work ahead from other advice. */
export function isAhead(action: Advice): action is AheadHint {
  return action.type === "prefetch" || action.type === "speculate";
}

/** A run that nothing was done ahead for in this many milliseconds is taken to be over: the end of some is never seen. */
const LOST_AFTER_MS = 600_000;

/** What is taken for one prefix and verb. */
interface Share {
  tokens: number;
  /** Hints about it of which nobody knows yet what became of them: an engine is told again of what it computes already. */
  open: number;
  /** One of them was carried out. */
  isThere: boolean;
}

/** Runs for which something is done ahead at a time; of more, those that began first are taken to be lost. */
const MOST_RUNS = 10_000;

/** What is taken for one run. */
interface Taken {
  readonly agents: Map<AgentId, Map<AheadHint["type"], Share>>;
  /** Of the latest hint. */
  at: number;
}

/**
 * The tokens of work ahead: prefetches and nodes that run early, until they are used, withdrawn or turn out not to be carried
 * out.
 */
export class AheadBudget {
  /** Most tokens at a time. */
  readonly limit: number;
  /** By run (the empty one: anchors) and by agent. */
  readonly #taken = new Map<RunId, Taken>();
  /** By hint, also those that have been given back meanwhile. */
  readonly #shares = new WeakMap<AheadHint, Share>();
  #tokens = 0;
  #now = Number.NEGATIVE_INFINITY;
  /** Before this time no run can be lost: a full budget is asked often, and there may be thousands of runs. */
  #noneLostUntil = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Tokens taken at the moment. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Tokens taken for this; 0 when it is not under way. */
  of(run: RunId, agent: AgentId, type: AheadHint["type"]): number {
    return this.#taken.get(run)?.agents.get(agent)?.get(type)?.tokens ?? 0;
  }

  /** The agents for which something is done ahead in a run. */
  agents(run: RunId): readonly AgentId[] {
    return [...(this.#taken.get(run)?.agents.keys() ?? [])];
  }

  /**
   * Takes the tokens of a hint; what it took before for the same prefix is given back. False, and nothing, when they are too
   * many.
   *
   * @param at clock time; default: that of the latest event observed.
   */
  take(hint: AheadHint, at = this.#now): boolean {
    const { type, tokens } = hint;
    const { run = "", agent } = hint.prefix;
    const fits = () => this.#tokens - this.of(run, agent, type) + tokens <= this.limit;
    if (!fits()) this.#forgetLost(at);
    if (!fits()) return false;
    let taken = this.#taken.get(run);
    if (!taken) this.#start(run, (taken = { agents: new Map(), at }));
    taken.at = at;
    let verbs = taken.agents.get(agent);
    if (!verbs) taken.agents.set(agent, (verbs = new Map()));
    let share = verbs.get(type);
    if (!share) verbs.set(type, (share = { tokens: 0, open: 0, isThere: false }));
    this.#tokens += tokens - share.tokens;
    share.tokens = tokens;
    share.open++;
    this.#shares.set(hint, share);
    return true;
  }

  /** The prefix was asked for, or what was done about it is withdrawn. */
  giveBack(run: RunId, agent: AgentId, type: AheadHint["type"]): void {
    const agents = this.#taken.get(run)?.agents;
    const verbs = agents?.get(agent);
    const share = verbs?.get(type);
    if (!agents || !verbs || !share) return;
    this.#tokens -= share.tokens;
    verbs.delete(type);
    if (verbs.size === 0) agents.delete(agent);
    if (agents.size === 0) this.#taken.delete(run);
  }

  observe(event: Event): void {
    this.#now = Math.max(this.#now, event.at);
    if (this.#taken.size === 0) return;
    if (event.type === "request-start") {
      this.giveBack(event.run, event.agent, "prefetch");
      this.giveBack("", event.agent, "prefetch");
    } else if (event.type === "run-end") {
      this.#forget(event.run);
    }
  }

  /** What was prefetched counts until it is used; a node that ran early is over either way. */
  settle(action: Advice, { status }: Settlement): void {
    const share = isAhead(action) ? this.#shares.get(action) : undefined;
    if (!isAhead(action) || !share || !this.#shares.delete(action)) return;
    share.open--;
    if (action.type === "prefetch" && status === "applied") share.isThere = true;
    const { run = "", agent } = action.prefix;
    const isCurrent = this.#taken.get(run)?.agents.get(agent)?.get(action.type) === share;
    if (isCurrent && share.open === 0 && !share.isThere) this.giveBack(run, agent, action.type);
  }

  #start(run: RunId, taken: Taken): void {
    const first = this.#taken.size >= MOST_RUNS ? this.#taken.keys().next().value : undefined;
    if (first !== undefined) this.#forget(first);
    this.#taken.set(run, taken);
  }

  #forgetLost(now: number): void {
    if (now <= this.#noneLostUntil) return;
    let oldest = now;
    for (const [run, { at }] of this.#taken)
      if (now - at > LOST_AFTER_MS) this.#forget(run);
      else oldest = Math.min(oldest, at);
    this.#noneLostUntil = oldest + LOST_AFTER_MS;
  }

  #forget(run: RunId): void {
    for (const [agent, verbs] of this.#taken.get(run)?.agents ?? [])
      for (const type of verbs.keys()) this.giveBack(run, agent, type);
  }
}
