import { type AgentId, END, START } from "../runtime/event.ts";
import type { StructuralPrior } from "./prior.ts";

/** Successor counts of one context. */
interface Row {
  total: number;
  readonly counts: Map<AgentId, number>;
}

/** Contexts of two agents kept; beyond this the rarest go, so state stays bounded. */
const MAX_PAIRS = 512;

/**
 * Who calls the model after whom, counted per run.
 *
 * Two-agent contexts back off to one agent, that to the declared graph, that to all known agents alike, by
 * Witten-Bell smoothing: a context seen n times with t distinct successors trusts its own counts n/(n+t)
 * (Witten and Bell 1991, https://doi.org/10.1109/18.87000), so there is no constant to tune.
 */
export class Transitions {
  readonly #single = new Map<AgentId, Row>();
  readonly #pairs = new Map<string, Row>();
  readonly #prior: StructuralPrior;

  constructor(prior: StructuralPrior) {
    this.#prior = prior;
  }

  /** Counts that `to` followed `from`, which had followed `before`. */
  count(before: AgentId, from: AgentId, to: AgentId, weight = 1): void {
    add(row(this.#single, from), to, weight);
    const key = pair(before, from);
    if (!this.#pairs.has(key) && this.#pairs.size >= MAX_PAIRS) this.#dropRarestPair();
    add(row(this.#pairs, key), to, weight);
  }

  /** Probabilities of what follows; sums to 1 over the returned agents and END. Empty when nothing is known. */
  next(before: AgentId, from: AgentId): Map<AgentId, number> {
    const single = this.#single.get(from);
    const base = this.#base(from, single);
    const first = blend(single, base);
    return blend(this.#pairs.get(pair(before, from)), first);
  }

  /** The declared graph, or nothing better than "any agent seen so far, or the end". */
  #base(from: AgentId, single: Row | undefined): ReadonlyMap<AgentId, number> {
    const declared = this.#prior.after(from);
    if (declared.size > 0) return declared;
    const known = new Set<AgentId>(this.#single.keys());
    known.delete(START);
    if (single) for (const agent of single.counts.keys()) known.add(agent);
    if (known.size === 0) return new Map();
    known.add(END);
    return new Map([...known].map((agent) => [agent, 1 / known.size]));
  }

  #dropRarestPair(): void {
    let rarest: string | undefined;
    let least = Infinity;
    for (const [key, { total }] of this.#pairs)
      if (total < least) {
        least = total;
        rarest = key;
      }
    if (rarest !== undefined) this.#pairs.delete(rarest);
  }

  /** `[before, from, to, count]`; the first entry is null for one-agent contexts. */
  *entries(): Generator<readonly [AgentId | null, AgentId, AgentId, number]> {
    for (const [from, { counts }] of this.#single)
      for (const [to, count] of counts) yield [null, from, to, count];
    for (const [key, { counts }] of this.#pairs) {
      const [before = "", from = ""] = key.split("\n");
      for (const [to, count] of counts) yield [before, from, to, count];
    }
  }

  /** Adds an entry of another process's, or a restored, state. */
  add([before, from, to, count]: readonly [AgentId | null, AgentId, AgentId, number]): void {
    if (before === null) add(row(this.#single, from), to, count);
    else if (this.#pairs.size < MAX_PAIRS || this.#pairs.has(pair(before, from)))
      add(row(this.#pairs, pair(before, from)), to, count);
  }
}

function pair(before: AgentId, from: AgentId): string {
  return `${before}\n${from}`;
}

function row(rows: Map<string, Row>, key: string): Row {
  let found = rows.get(key);
  if (!found) rows.set(key, (found = { total: 0, counts: new Map() }));
  return found;
}

function add(target: Row, to: AgentId, weight: number): void {
  target.total += weight;
  target.counts.set(to, (target.counts.get(to) ?? 0) + weight);
}

/** Witten-Bell: the context's counts, and as much of the base as it has shown distinct successors. */
function blend(context: Row | undefined, base: ReadonlyMap<AgentId, number>): Map<AgentId, number> {
  if (!context) return new Map(base);
  const distinct = base.size === 0 ? 0 : context.counts.size;
  const mass = context.total + distinct;
  const blended = new Map<AgentId, number>();
  for (const [to, count] of context.counts) blended.set(to, count / mass);
  if (distinct > 0)
    for (const [to, probability] of base)
      blended.set(to, (blended.get(to) ?? 0) + (distinct / mass) * probability);
  return blended;
}
