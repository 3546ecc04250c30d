import { BUCKETS, bucketOf, NEVER, STEPS } from "./horizon.ts";

/** What the model call that a run made last is known to have asked for. */
export const TOOLS_UNKNOWN = 0;
export const NO_TOOLS = 1;
export const CALLS_TOOLS = 2;

/** Absences are told apart up to this many steps; longer ones share a class. */
const LONGEST_ABSENCE = 12;
/** Contexts kept in memory, of about 100 bytes. When there are more, all are halved and those that carry no evidence go. */
const MAX_CONTEXTS = 4096;
/** Contexts written to a snapshot, those of most samples: they hold nearly all that was seen, in about 10 KB. */
const SAVED_CONTEXTS = 400;
/**
 * Samples of a context that count in full: at 512 the standard error of a probability is at most 2 %. Beyond, old ones are
 * halved, so that a workload that changes is followed within as many samples.
 */
const WINDOW = 512;
/** No agent index is this large. */
const AGENTS = 256;

/** Where a run is, as seen from one agent of it. All but `absence` are agent indices or flags. */
export interface Whereabouts {
  readonly agent: number;
  /** Steps since the agent's last call; 0 when that was the run's last. */
  readonly absence: number;
  /** Agent of the run's last call, of the call before, and whether the last one asked for tools. */
  readonly current: number;
  readonly previous: number;
  readonly tools: number;
}

/** Samples of one context, by bucket. */
interface Context {
  samples: number;
  distinct: number;
  readonly counts: Float32Array;
}

/**
 * Return times: in how many steps (model calls of the run) does an agent call again?
 *
 * Counted in four contexts, each trusted by Witten-Bell smoothing (n samples with t distinct outcomes speak with
 * weight n/(n+t), https://doi.org/10.1109/18.87000) over the one before: any agent's absence; the agent and its absence; also the current
 * agent and whether it asked for tools; the agent with the last two agents. Below them all lies Zipf's law of
 * recency, by which the chance to return falls as 1/absence: cold statistics therefore rank like LRU.
 */
export class ReturnTimes {
  readonly #contexts = new Map<number, Context>();

  /** The agent came back after `steps` >= 1 from where it was. */
  returned(from: Whereabouts, steps: number): void {
    this.#count(from, bucketOf(steps));
  }

  /** The run ended without it. */
  ended(from: Whereabouts): void {
    this.#count(from, NEVER);
  }

  /**
   * Fills `out` (length BUCKETS) with the probabilities of each bucket; they sum to 1.
   *
   * @param next probability that the agent is next, from elsewhere; refines the first bucket while samples are few.
   */
  distribution(at: Whereabouts, next: number | undefined, out: Float64Array): void {
    coldReturns(at.absence, out);
    if (next !== undefined) {
      const rest = (1 - next) / (1 - (out[0] as number));
      for (let bucket = 1; bucket < BUCKETS; bucket++) out[bucket] = (out[bucket] as number) * rest;
      out[0] = next;
    }
    this.#refine(out, this.#contexts.get(anyoneKey(at)));
    this.#refine(out, this.#contexts.get(absenceKey(at)));
    this.#refine(out, this.#contexts.get(currentKey(at)));
    this.#refine(out, this.#contexts.get(pairKey(at)));
  }

  /** `[context key, counts by bucket without trailing zeros]` of the contexts best known. */
  *entries(): Generator<readonly [number, readonly number[]]> {
    const best = [...this.#contexts]
      .toSorted(([, a], [, b]) => b.samples - a.samples)
      .slice(0, SAVED_CONTEXTS);
    for (const [key, { counts }] of best)
      yield [key, Array.from(counts.subarray(0, counts.findLastIndex((count) => count > 0) + 1), rounded)];
  }

  /** Adds counts of another process. @param local translates its agent indices to this one's. */
  add(key: number, counts: readonly number[], local: (agent: number) => number): void {
    const own = translate(key, local);
    for (const [bucket, count] of counts.entries()) if (bucket < BUCKETS) this.#add(own, bucket, count);
  }

  #count(from: Whereabouts, bucket: number): void {
    this.#add(anyoneKey(from), bucket, 1);
    this.#add(absenceKey(from), bucket, 1);
    this.#add(currentKey(from), bucket, 1);
    this.#add(pairKey(from), bucket, 1);
  }

  #add(key: number, bucket: number, weight: number): void {
    if (!(weight > 0)) return;
    let context = this.#contexts.get(key);
    if (!context) {
      if (this.#contexts.size >= MAX_CONTEXTS) this.#age();
      this.#contexts.set(key, (context = { samples: 0, distinct: 0, counts: new Float32Array(BUCKETS) }));
    }
    const before = context.counts[bucket] as number;
    if (before === 0) context.distinct++;
    context.counts[bucket] = before + weight;
    context.samples += weight;
    if (context.samples > WINDOW) halve(context);
  }

  #age(): void {
    for (const [key, context] of this.#contexts) {
      halve(context);
      if (context.samples < 1) this.#contexts.delete(key);
    }
  }

  #refine(out: Float64Array, context: Context | undefined): void {
    if (!context) return;
    const { counts, distinct, samples } = context;
    const total = samples + distinct;
    for (let bucket = 0; bucket < BUCKETS; bucket++)
      out[bucket] = ((counts[bucket] as number) + distinct * (out[bucket] as number)) / total;
  }
}

/** Three digits are more than the counts are good for. */
function rounded(count: number): number {
  return Number(count.toPrecision(3));
}

function halve(context: Context): void {
  const { counts } = context;
  context.samples = 0;
  context.distinct = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    // What remains of a single sample after several halvings is no evidence.
    const count = (counts[bucket] as number) / 2;
    counts[bucket] = count < 0.1 ? 0 : count;
    if (count < 0.1) continue;
    context.samples += count;
    context.distinct++;
  }
}

/** Hazard 1/(absence + steps + 2) at each step to come. */
function coldReturns(absence: number, out: Float64Array): void {
  let absent = 1;
  let before = 0;
  for (let bucket = 0; bucket < NEVER; bucket++) {
    const steps = STEPS[bucket] as number;
    const stays = (1 - 1 / (absence + steps + 2)) ** (steps - before);
    out[bucket] = absent * (1 - stays);
    absent *= stays;
    before = steps;
  }
  out[NEVER] = absent;
}

const anyoneKey = (at: Whereabouts) => keyOf(3, 0, Math.min(at.absence, LONGEST_ABSENCE), 0, 0);
const absenceKey = (at: Whereabouts) => keyOf(0, at.agent, Math.min(at.absence, LONGEST_ABSENCE), 0, 0);
const currentKey = (at: Whereabouts) =>
  keyOf(1, at.agent, Math.min(at.absence, LONGEST_ABSENCE), at.current, at.tools);
const pairKey = (at: Whereabouts) => keyOf(2, at.agent, at.previous, at.current, at.tools);

/** @param between an absence, or at level 2 an agent. */
function keyOf(level: number, agent: number, between: number, current: number, tools: number): number {
  return (((level * AGENTS + agent) * AGENTS + between) * AGENTS + current) * 4 + tools;
}

function translate(key: number, local: (agent: number) => number): number {
  const tools = key % 4;
  const current = Math.floor(key / 4) % AGENTS;
  const between = Math.floor(key / 4 / AGENTS) % AGENTS;
  const agent = Math.floor(key / 4 / AGENTS ** 2) % AGENTS;
  const level = Math.floor(key / 4 / AGENTS ** 3);
  if (level === 3) return key;
  return keyOf(
    level,
    local(agent),
    level === 2 ? local(between) : between,
    level === 0 ? current : local(current),
    tools,
  );
}
