import { AGENTS, type Agents, END_INDEX, OTHER_INDEX, START_INDEX } from "./agents.ts";
import { ANSWERS, type Answer, UNKNOWN } from "./answer.ts";
import { CountReader, readCounts, writeCounts } from "./counts.ts";
import { Drift } from "./drift.ts";
import type { StructuralPrior } from "./prior.ts";
import { Trust } from "./trust.ts";

/** Successor counts of one agent, by agent index. */
interface Row {
  total: number;
  distinct: number;
  counts: number[];
}

/** Successors in a context of more than one agent, and how often each followed; few of those possible ever do. */
interface LongRow {
  total: number;
  readonly successors: number[];
  readonly counts: number[];
}

/** Counts as `writeCounts` has them. */
export interface TransitionState {
  /** By agent: counts of its successors. */
  readonly agents: readonly string[];
  /**
   * One after the other: the agent before, the agent, its answer (UNKNOWN: any), twice the number of successors, those and
   * their counts.
   */
  readonly pairs: string;
}

/** Successors of an agent that count in full; beyond, old ones are halved; see `Drift` for what changes at once. */
const WINDOW = 1024;
/** Counts of longer contexts kept; when there are more, all are halved and those below one go. */
const MAX_LONG_COUNTS = 352;

/**
 * Who calls the model after whom, counted per run.
 *
 * Two agents and what is known of the last one's answer back off to the two agents, those to the last one, that to the
 * declared graph, that to all known agents alike, each as far as its counts are to be trusted; see `Trust`.
 */
export class Transitions {
  readonly #agents: Agents;
  readonly #prior: StructuralPrior;
  readonly #single: (Row | undefined)[] = [];
  /** By `longKey`. */
  readonly #long = new Map<number, LongRow>();
  #longCounts = 0;
  readonly #trust = { single: new Trust(), pair: new Trust(), answered: new Trust() };
  readonly #drift: Drift | undefined;
  readonly #declared: (readonly number[] | undefined)[] = [];
  #declaredVersion = -1;

  /** @param forgets old counts of an agent are let go when what follows it changes. */
  constructor(agents: Agents, prior: StructuralPrior, forgets: boolean) {
    this.#agents = agents;
    this.#prior = prior;
    this.#drift = forgets ? new Drift() : undefined;
  }

  /**
   * Counts that `to` followed `from`, which had followed `before` and given this answer; all else are agent indices.
   *
   * @returns true when what follows `from` has changed, and old counts of it were forgotten.
   */
  count(before: number, from: number, answer: Answer, to: number, weight = 1): boolean {
    const probability = this.#learnTrust(before, from, answer, to);
    const isOther = probability !== undefined && this.#drift?.came(from, to, probability) === true;
    if (isOther) this.#startAnew(from);
    else this.#countSingle(from, to, weight);
    this.#countLong(longKey(before, from, UNKNOWN), to, weight);
    if (answer !== UNKNOWN) this.#countLong(longKey(before, from, answer), to, weight);
    return isOther;
  }

  /** Fills `out` (length: agents.size at least) with the probabilities of what follows; they sum to 1, or to 0 when nothing is known. */
  next(before: number, from: number, answer: Answer, out: number[]): void {
    const size = this.#agents.size;
    const single = this.#single[from];
    const base = this.#base(from, single);
    const answered = answer === UNKNOWN ? undefined : this.#long.get(longKey(before, from, answer));
    const pair = this.#long.get(longKey(before, from, UNKNOWN));
    const doubts = this.#trust;
    const afterAnswered = answered ? leftBy(answered, doubts.answered.doubt) : 1;
    const left = pair ? afterAnswered * leftBy(pair, doubts.pair.doubt) : afterAnswered;
    const doubt = single ? single.distinct * doubts.single.doubt : 0;
    const share = single ? left / (single.total + doubt) : 0;
    const trust = single ? doubt * share : left;
    const seen = single ? Math.min(size, single.counts.length) : 0;
    if (single)
      for (let to = 0; to < seen; to++)
        out[to] = (single.counts[to] as number) * share + (base[to] as number) * trust;
    for (let to = seen; to < size; to++) out[to] = (base[to] as number) * trust;
    if (pair) mix(pair, doubts.pair.doubt, afterAnswered, out);
    if (answered) mix(answered, doubts.answered.doubt, 1, out);
  }

  snapshot(): TransitionState {
    const agents = Array.from({ length: this.#single.length }, (_, from) =>
      writeCounts(this.#single[from]?.counts ?? []),
    );
    let pairs = "";
    for (const [key, { successors, counts }] of this.#long)
      pairs += writeCounts([
        Math.floor(key / AGENTS) % AGENTS,
        key % AGENTS,
        Math.floor(key / AGENTS ** 2),
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
    for (const [key, row] of this.#long) {
      for (const [i, count] of row.counts.entries()) row.counts[i] = count - Math.round(count);
      row.total = sumOf(row.counts);
      if (row.counts.some((count) => count !== 0)) continue;
      this.#long.delete(key);
      this.#longCounts -= row.counts.length;
    }
  }

  /** Adds what another process counted. @param local translates its agent indices to this one's. */
  restore({ agents, pairs }: TransitionState, local: (agent: number) => number): void {
    for (const [from, counts] of agents.entries())
      for (const [to, count] of readCounts(counts).entries())
        if (count > 0) this.#mergeSingle(local(from), local(to), count);
    for (const reader = new CountReader(pairs); !reader.isAtEnd;) {
      const before = local(reader.next());
      const from = local(reader.next());
      const key = longKey(before, from, reader.next() % ANSWERS);
      const successors = reader.list();
      for (let i = 0; i + 1 < successors.length; i += 2)
        if (successors[i + 1] !== 0)
          this.#countLong(key, local(successors[i] as number), successors[i + 1] as number);
    }
  }

  /** @returns the probability that `to` had; undefined when nothing is known of `from`. */
  #learnTrust(before: number, from: number, answer: Answer, to: number): number | undefined {
    const single = this.#single[from];
    if (!single) return undefined;
    const { counts, total, distinct } = single;
    const base = this.#base(from, single)[to] ?? 0;
    const short = this.#trust.single.came(counts[to] ?? 0, total, distinct, base);
    const pair = this.#long.get(longKey(before, from, UNKNOWN));
    const longer = pair ? cameAfter(this.#trust.pair, pair, to, short) : short;
    const answered = answer === UNKNOWN ? undefined : this.#long.get(longKey(before, from, answer));
    return answered ? cameAfter(this.#trust.answered, answered, to, longer) : longer;
  }

  /** Of what follows an agent only the latest counts. */
  #startAnew(from: number): void {
    const counts = this.#drift?.recent(from) ?? [];
    const distinct = counts.filter((count) => count > 0).length;
    this.#single[from] = { counts, distinct, total: sumOf(counts) };
    for (const [key, { counts: longer }] of this.#long) {
      if (key % AGENTS !== from) continue;
      this.#longCounts -= longer.length;
      this.#long.delete(key);
    }
  }

  #countSingle(from: number, to: number, weight: number): void {
    const row = this.#mergeSingle(from, to, weight);
    if (row.total <= WINDOW) return;
    row.total /= 2;
    for (let i = 0; i < row.counts.length; i++) row.counts[i] = (row.counts[i] as number) / 2;
  }

  /** Counts of other processes are whole numbers: with none halved in between, their order does not matter. */
  #mergeSingle(from: number, to: number, weight: number): Row {
    const row = (this.#single[from] ??= { total: 0, distinct: 0, counts: [] });
    while (row.counts.length <= to) row.counts.push(0);
    const before = row.counts[to] as number;
    if (before === 0) row.distinct++;
    row.counts[to] = before + weight;
    row.total += weight;
    return row;
  }

  #countLong(key: number, to: number, weight: number): void {
    let row = this.#long.get(key);
    if (!row) this.#long.set(key, (row = { total: 0, successors: [], counts: [] }));
    row.total += weight;
    const known = row.successors.indexOf(to);
    if (known >= 0) {
      row.counts[known] = (row.counts[known] as number) + weight;
      return;
    }
    row.successors.push(to);
    row.counts.push(weight);
    if (++this.#longCounts > MAX_LONG_COUNTS) this.#halveLong();
  }

  /** Ages longer contexts: what was seen once or twice in a random workload carries no evidence. */
  #halveLong(): void {
    this.#longCounts = 0;
    for (const [key, row] of this.#long) {
      const { successors, counts } = row;
      let kept = 0;
      row.total = 0;
      for (let i = 0; i < successors.length; i++) {
        const count = counts[i] as number;
        if (count < 2) continue;
        successors[kept] = successors[i] as number;
        counts[kept++] = count / 2;
        row.total += count / 2;
      }
      successors.length = kept;
      counts.length = kept;
      if (kept === 0) this.#long.delete(key);
      this.#longCounts += kept;
    }
  }

  /** The declared graph, or nothing better than "any agent seen so far, or the end". */
  #base(from: number, single: Row | undefined): readonly number[] {
    const size = this.#agents.size;
    if (this.#declaredVersion !== this.#prior.version * AGENTS + size) {
      this.#declaredVersion = this.#prior.version * AGENTS + size;
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

function longKey(before: number, from: number, answer: Answer): number {
  return (answer * AGENTS + before) * AGENTS + from;
}

function cameAfter(trust: Trust, { total, successors, counts }: LongRow, to: number, below: number): number {
  return trust.came(counts[successors.indexOf(to)] ?? 0, total, successors.length, below);
}

/** Share of its probabilities that a context leaves to shorter ones. */
function leftBy({ total, successors }: LongRow, doubt: number): number {
  const doubted = doubt * successors.length;
  return doubted / (total + doubted);
}

/** Adds what followed in a context, of which longer ones have left `share`. */
function mix({ total, successors, counts }: LongRow, doubt: number, share: number, out: number[]): void {
  const scale = share / (total + doubt * successors.length);
  for (let i = 0; i < successors.length; i++) {
    const to = successors[i] as number;
    out[to] = (out[to] as number) + (counts[i] as number) * scale;
  }
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
