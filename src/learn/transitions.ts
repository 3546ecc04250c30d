import { type Agents, END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import type { StructuralPrior } from "./prior.ts";
import { rounded } from "./state.ts";

/** Successor counts of one context, by agent index. */
interface Row {
  total: number;
  distinct: number;
  counts: Float32Array;
}

/** Successors of an agent that count in full; beyond, old ones are halved, so that a workload that changes is followed. */
const WINDOW = 1024;
/** Counts of two-agent contexts kept; when there are more, all are halved and those below one go. */
const MAX_PAIR_COUNTS = 384;
/** No context has a before-index this large. */
const PAIR_BASE = 4096;

/**
 * Who calls the model after whom, counted per run.
 *
 * Two-agent contexts back off to one agent, that to the declared graph, that to all known agents alike, by
 * Witten-Bell smoothing: a context seen n times with t distinct successors trusts its own counts n/(n+t)
 * (Witten and Bell 1991, https://doi.org/10.1109/18.87000), so there is no constant to tune.
 */
export class Transitions {
  readonly #agents: Agents;
  readonly #prior: StructuralPrior;
  readonly #single: (Row | undefined)[] = [];
  readonly #pairs = new Map<number, Map<number, number>>();
  #pairCounts = 0;
  readonly #declared: (Float64Array | undefined)[] = [];
  #declaredVersion = -1;

  constructor(agents: Agents, prior: StructuralPrior) {
    this.#agents = agents;
    this.#prior = prior;
  }

  /** Counts that `to` followed `from`, which had followed `before`; all are agent indices. */
  count(before: number, from: number, to: number, weight = 1): void {
    this.#countSingle(from, to, weight);
    this.#countPair(before, from, to, weight);
  }

  /** Fills `out` (length: agents.size at least) with the probabilities of what follows; they sum to 1, or to 0 when nothing is known. */
  next(before: number, from: number, out: Float64Array): void {
    const size = this.#agents.size;
    const single = this.#single[from];
    const base = this.#base(from, single);
    const sum = single ? single.total + single.distinct : 1;
    const trust = single ? single.distinct / sum : 1;
    for (let to = 0; to < size; to++) out[to] = (single?.counts[to] ?? 0) / sum + trust * (base[to] ?? 0);
    const pair = this.#pairs.get(before * PAIR_BASE + from);
    if (!pair) return;
    let total = 0;
    for (const count of pair.values()) total += count;
    const mass = total + pair.size;
    for (let to = 0; to < size; to++) out[to] = ((out[to] ?? 0) * pair.size) / mass;
    for (const [to, count] of pair) out[to] = (out[to] ?? 0) + count / mass;
  }

  /** `[before, from, [to, count, to, count, ...]]` by index; `before` is -1 for one-agent contexts. */
  *entries(): Generator<readonly [number, number, readonly number[]]> {
    for (const [from, row] of this.#single.entries())
      if (row) yield [-1, from, pairsOf(row.counts.entries())];
    for (const [key, pair] of this.#pairs)
      yield [Math.floor(key / PAIR_BASE), key % PAIR_BASE, pairsOf(pair)];
  }

  /** Adds what followed a context in another process's, or a restored, state. */
  add(before: number, from: number, to: number, count: number): void {
    if (before < 0) this.#countSingle(from, to, count);
    else this.#countPair(before, from, to, count);
  }

  #countSingle(from: number, to: number, weight: number): void {
    const row = (this.#single[from] ??= { total: 0, distinct: 0, counts: new Float32Array(16) });
    if (to >= row.counts.length) {
      const counts = new Float32Array(2 * Math.max(to, row.counts.length));
      counts.set(row.counts);
      row.counts = counts;
    }
    const before = row.counts[to] ?? 0;
    if (before === 0) row.distinct++;
    row.counts[to] = before + weight;
    row.total += weight;
    if (row.total <= WINDOW) return;
    row.total /= 2;
    for (let i = 0; i < row.counts.length; i++) row.counts[i] = (row.counts[i] as number) / 2;
  }

  #countPair(before: number, from: number, to: number, weight: number): void {
    const key = before * PAIR_BASE + from;
    let pair = this.#pairs.get(key);
    if (!pair) this.#pairs.set(key, (pair = new Map()));
    const known = pair.get(to);
    pair.set(to, (known ?? 0) + weight);
    if (known === undefined && ++this.#pairCounts > MAX_PAIR_COUNTS) this.#halvePairs();
  }

  /** Ages two-agent contexts: what was seen once or twice in a random workload carries no evidence. */
  #halvePairs(): void {
    this.#pairCounts = 0;
    for (const [key, pair] of this.#pairs) {
      for (const [to, count] of pair)
        if (count < 2) pair.delete(to);
        else pair.set(to, count / 2);
      if (pair.size === 0) this.#pairs.delete(key);
      this.#pairCounts += pair.size;
    }
  }

  /** The declared graph, or nothing better than "any agent seen so far, or the end". */
  #base(from: number, single: Row | undefined): Float64Array {
    const size = this.#agents.size;
    if (this.#declaredVersion !== this.#prior.version * PAIR_BASE + size) {
      this.#declaredVersion = this.#prior.version * PAIR_BASE + size;
      this.#declared.length = 0;
    }
    return (this.#declared[from] ??= this.#declare(from, single !== undefined));
  }

  #declare(from: number, seen: boolean): Float64Array {
    const base = new Float64Array(this.#agents.size + 1);
    const declared = this.#prior.after(this.#agents.name(from));
    for (const [agent, probability] of declared) base[this.#agents.index(agent)] = probability;
    if (declared.size > 0 || (!seen && this.#single.length === 0)) return base.subarray(0, this.#agents.size);
    const known = this.#agents.size - OTHER_INDEX;
    for (let to = 0; to < this.#agents.size; to++)
      if (to !== START_INDEX && to !== OTHER_INDEX) base[to] = 1 / known;
    if (known === 1) base[END_INDEX] = 1;
    return base;
  }
}

function pairsOf(counts: Iterable<readonly [number, number]>): readonly number[] {
  const pairs: number[] = [];
  for (const [to, count] of counts) if (count > 0) pairs.push(to, rounded(count));
  return pairs;
}
