import { type Agents, END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { CountReader, readCounts, writeCounts } from "./counts.ts";
import type { StructuralPrior } from "./prior.ts";

/** Successor counts of one agent, by agent index. */
interface Row {
  total: number;
  distinct: number;
  counts: number[];
}

/** Successors of two agents in a row, and how often each followed; few of those possible ever do. */
interface PairRow {
  total: number;
  readonly successors: number[];
  readonly counts: number[];
}

/** Counts as `writeCounts` has them. */
export interface TransitionState {
  /** By agent: counts of its successors. */
  readonly agents: readonly string[];
  /** One after the other: the agent before, the agent, twice the number of successors, those and their counts. */
  readonly pairs: string;
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
  readonly #pairs = new Map<number, PairRow>();
  #pairCounts = 0;
  readonly #declared: (readonly number[] | undefined)[] = [];
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
  next(before: number, from: number, out: number[]): void {
    const size = this.#agents.size;
    const single = this.#single[from];
    const base = this.#base(from, single);
    const pair = this.#pairs.get(before * PAIR_BASE + from);
    const pairSum = pair ? pair.total + pair.successors.length : 1;
    const left = pair ? pair.successors.length / pairSum : 1;
    const sum = single ? single.total + single.distinct : 1;
    const share = left / sum;
    const trust = single ? single.distinct * share : left;
    const seen = single ? Math.min(size, single.counts.length) : 0;
    if (single)
      for (let to = 0; to < seen; to++)
        out[to] = (single.counts[to] as number) * share + (base[to] as number) * trust;
    for (let to = seen; to < size; to++) out[to] = (base[to] as number) * trust;
    if (!pair) return;
    const { successors, counts } = pair;
    for (let i = 0; i < successors.length; i++) {
      const to = successors[i] as number;
      out[to] = (out[to] as number) + (counts[i] as number) / pairSum;
    }
  }

  snapshot(): TransitionState {
    const agents = Array.from({ length: this.#single.length }, (_, from) =>
      writeCounts(this.#single[from]?.counts ?? []),
    );
    let pairs = "";
    for (const [key, { successors, counts }] of this.#pairs)
      pairs += writeCounts([
        Math.floor(key / PAIR_BASE),
        key % PAIR_BASE,
        2 * successors.length,
        ...successors.flatMap((to, i) => [to, counts[i] as number]),
      ]);
    return { agents, pairs };
  }

  /** Forgets what a snapshot has: whole numbers. Fractions stay, so that they come to whole ones in time. */
  take(): void {
    for (const row of this.#single) {
      if (!row) continue;
      for (const [to, count] of row.counts.entries()) row.counts[to] = count - Math.round(count);
      row.total = sumOf(row.counts);
    }
    for (const [key, pair] of this.#pairs) {
      for (const [i, count] of pair.counts.entries()) pair.counts[i] = count - Math.round(count);
      pair.total = sumOf(pair.counts);
      if (pair.counts.some((count) => count !== 0)) continue;
      this.#pairs.delete(key);
      this.#pairCounts -= pair.counts.length;
    }
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore({ agents, pairs }: TransitionState, local: (agent: number) => number): void {
    for (const [from, counts] of agents.entries())
      for (const [to, count] of readCounts(counts).entries())
        if (count > 0) this.#countSingle(local(from), local(to), count);
    for (const reader = new CountReader(pairs); !reader.isAtEnd;) {
      const before = local(reader.next());
      const from = local(reader.next());
      const successors = reader.list();
      for (let i = 0; i + 1 < successors.length; i += 2)
        if (successors[i + 1] !== 0)
          this.#countPair(before, from, local(successors[i] as number), successors[i + 1] as number);
    }
  }

  #countSingle(from: number, to: number, weight: number): void {
    const row = (this.#single[from] ??= { total: 0, distinct: 0, counts: [] });
    while (row.counts.length <= to) row.counts.push(0);
    const before = row.counts[to] as number;
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
    if (!pair) this.#pairs.set(key, (pair = { total: 0, successors: [], counts: [] }));
    pair.total += weight;
    const known = pair.successors.indexOf(to);
    if (known >= 0) {
      pair.counts[known] = (pair.counts[known] as number) + weight;
      return;
    }
    pair.successors.push(to);
    pair.counts.push(weight);
    if (++this.#pairCounts > MAX_PAIR_COUNTS) this.#halvePairs();
  }

  /** Ages two-agent contexts: what was seen once or twice in a random workload carries no evidence. */
  #halvePairs(): void {
    this.#pairCounts = 0;
    for (const [key, pair] of this.#pairs) {
      const { successors, counts } = pair;
      let kept = 0;
      pair.total = 0;
      for (let i = 0; i < successors.length; i++) {
        const count = counts[i] as number;
        if (count < 2) continue;
        successors[kept] = successors[i] as number;
        counts[kept++] = count / 2;
        pair.total += count / 2;
      }
      successors.length = kept;
      counts.length = kept;
      if (kept === 0) this.#pairs.delete(key);
      this.#pairCounts += kept;
    }
  }

  /** The declared graph, or nothing better than "any agent seen so far, or the end". */
  #base(from: number, single: Row | undefined): readonly number[] {
    const size = this.#agents.size;
    if (this.#declaredVersion !== this.#prior.version * PAIR_BASE + size) {
      this.#declaredVersion = this.#prior.version * PAIR_BASE + size;
      this.#declared.length = 0;
    }
    return (this.#declared[from] ??= this.#declare(from, single !== undefined));
  }

  #declare(from: number, seen: boolean): readonly number[] {
    const declared = this.#prior.after(this.#agents.name(from));
    for (const agent of declared.keys()) this.#agents.index(agent);
    const { size } = this.#agents;
    const base = Array.from({ length: size }, () => 0);
    for (const [agent, probability] of declared) base[this.#agents.index(agent)] = probability;
    if (declared.size > 0 || (!seen && this.#single.length === 0)) return base;
    const known = size - OTHER_INDEX;
    for (let to = 0; to < size; to++) if (to !== START_INDEX && to !== OTHER_INDEX) base[to] = 1 / known;
    if (known === 1) base[END_INDEX] = 1;
    return base;
  }
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
