import { Contexts } from "./contexts.ts";
import { CountReader, writeCounts } from "./counts.ts";
import { Histograms } from "./histograms.ts";
import { BUCKETS, bucketOf, NEVER, STEPS } from "./horizon.ts";

/** What the model call that a run made last is known to have asked for. */
export const TOOLS_UNKNOWN = 0;
export const NO_TOOLS = 1;
export const CALLS_TOOLS = 2;
/** All three are below this. */
export const KINDS_OF_TOOLS = 4;

/** Absences are told apart up to this many steps; longer ones share a class. */
const LONGEST_ABSENCE = 12;
const ABSENCES = LONGEST_ABSENCE + 1;
/** Contexts written to a snapshot, those of most samples, of at most 15 bytes as a rule. */
const SAVED_CONTEXTS = 900;
/** Cold chances are told apart up to this absence. */
const COLD_ABSENCES = 64;
/** No agent index is this large. */
const AGENTS = 256;

/** Where a run is, as seen from one agent of it. All but `absence` are agent indices or flags. */
export interface Whereabouts {
  agent: number;
  /** Steps since the agent's last call; 0 when that was the run's last. */
  absence: number;
  /** Agent of the run's last call, of the call before, and whether the last one asked for tools. */
  current: number;
  previous: number;
  tools: number;
}

/**
 * Return times: in how many steps (model calls of the run) does an agent call again?
 *
 * Counted in four contexts, each trusted by Witten-Bell smoothing over the one before: any agent's absence; the agent
 * and its absence; also the current agent and whether it asked for tools; the agent with the last two agents. Below
 * them all lies Zipf's law of recency, by which the chance to return falls as 1/absence: cold statistics therefore rank
 * like LRU.
 */
export class ReturnTimes {
  /** By agent and absence; agent 0, which is none, stands for any. */
  readonly #dense = new Histograms();
  #agents = 1;
  /** The two that know who called last. */
  readonly #sparse = new Contexts();

  /** The agent came back after `steps` >= 1 from where it was. @param weight number of such observations. */
  returned(from: Whereabouts, steps: number, weight = 1): void {
    this.#count(from, bucketOf(steps), weight);
  }

  /** The run ended without it. */
  ended(from: Whereabouts, weight = 1): void {
    this.#count(from, NEVER, weight);
  }

  /**
   * Fills `out` with the probability of each bucket; they sum to 1.
   *
   * @param next probability that the agent is next, from elsewhere; refines the first bucket while samples are few.
   */
  distribution(at: Whereabouts, next: number | undefined, out: Float64Array): void {
    coldReturns(at.absence, next, out);
    const absence = Math.min(at.absence, LONGEST_ABSENCE);
    this.#dense.refine(absence, out);
    this.#dense.refine(at.agent * ABSENCES + absence, out);
    this.#sparse.refine(currentKey(at), out);
    this.#sparse.refine(pairKey(at), out);
  }

  /** The contexts best known, as `writeCounts` has them: four numbers that name it, how many counts there are, and those by bucket. */
  snapshot(): string {
    const all = [...this.#sparse.entries()];
    for (let slot = 0; slot < this.#agents * ABSENCES; slot++)
      if (this.#dense.samples(slot) > 0)
        all.push([slot, this.#dense.samples(slot), this.#dense.counts(slot)]);
    const best = all.toSorted(([key, samples], [other, others]) => others - samples || key - other);
    return best
      .slice(0, SAVED_CONTEXTS)
      .map(([key, , counts]) => writeCounts([...partsOf(key), counts.length, ...counts]))
      .join("");
  }

  /** Adds counts of another process. @param local translates its agent indices to this one's. */
  restore(text: string, local: (agent: number) => number): void {
    for (const reader = new CountReader(text); !reader.isAtEnd;) {
      const key = keyOf([reader.next(), reader.next(), reader.next(), reader.next()], local);
      for (const [bucket, count] of reader.list().entries()) {
        if (count === 0 || bucket >= BUCKETS) continue;
        if (key < SPARSE) this.#addDense(key, bucket, count);
        else this.#sparse.add(key, bucket, count);
      }
    }
  }

  #count(from: Whereabouts, bucket: number, weight: number): void {
    const absence = Math.min(from.absence, LONGEST_ABSENCE);
    this.#dense.add(absence, bucket, weight);
    this.#addDense(from.agent * ABSENCES + absence, bucket, weight);
    this.#sparse.add(currentKey(from), bucket, weight);
    this.#sparse.add(pairKey(from), bucket, weight);
  }

  #addDense(slot: number, bucket: number, weight: number): void {
    this.#agents = Math.max(this.#agents, Math.floor(slot / ABSENCES) + 1);
    this.#dense.add(slot, bucket, weight);
  }
}

const cold: (Float64Array | undefined)[] = [];

/** By Zipf's law: hazard 1/(absence + steps + 2) at each step to come; or `next` at the first one, and by the law from then on. */
function coldReturns(absence: number, next: number | undefined, out: Float64Array): void {
  const known = Math.min(absence, COLD_ABSENCES - 1);
  const law = (cold[known] ??= zipf(known));
  const first = law[0] as number;
  out[0] = next ?? first;
  const rest = next === undefined ? 1 : (1 - next) / (1 - first);
  for (let bucket = 1; bucket < BUCKETS; bucket++) out[bucket] = (law[bucket] as number) * rest;
}

function zipf(absence: number): Float64Array {
  const law = new Float64Array(BUCKETS);
  let absent = 1;
  let before = 0;
  for (let bucket = 0; bucket < NEVER; bucket++) {
    const steps = STEPS[bucket] as number;
    const stays = (1 - 1 / (absence + steps + 2)) ** (steps - before);
    law[bucket] = absent * (1 - stays);
    absent *= stays;
    before = steps;
  }
  law[NEVER] = absent;
  return law;
}

/** Keys of dense contexts are their slots; sparse ones are numbered from here on, within what V8 stores as a small integer. */
const SPARSE = AGENTS * ABSENCES;
const PAIR = 1;
const LEVELS = 2;

const currentKey = (at: Whereabouts) =>
  sparseKey(0, at.agent, Math.min(at.absence, LONGEST_ABSENCE), at.current, at.tools);
const pairKey = (at: Whereabouts) => sparseKey(PAIR, at.agent, at.previous, at.current, at.tools);

/** @param between an absence, or for a pair an agent. */
function sparseKey(level: number, agent: number, between: number, current: number, tools: number): number {
  return SPARSE + (((level * AGENTS + agent) * AGENTS + between) * AGENTS + current) * KINDS_OF_TOOLS + tools;
}

/** Which kind of context and which tools, agent, absence or previous agent, current agent; kind 0 is dense. */
type ContextParts = readonly [number, number, number, number];

function partsOf(key: number): ContextParts {
  if (key < SPARSE) return [0, Math.floor(key / ABSENCES), key % ABSENCES, 0];
  const rest = Math.floor((key - SPARSE) / KINDS_OF_TOOLS);
  const level = Math.floor(rest / AGENTS ** 3);
  const kind = 1 + level * KINDS_OF_TOOLS + ((key - SPARSE) % KINDS_OF_TOOLS);
  return [kind, Math.floor(rest / AGENTS ** 2) % AGENTS, Math.floor(rest / AGENTS) % AGENTS, rest % AGENTS];
}

function keyOf([kind, agent, between, current]: ContextParts, local: (agent: number) => number): number {
  const absence = Math.min(between, LONGEST_ABSENCE);
  if (kind === 0) return (agent === 0 ? 0 : local(agent)) * ABSENCES + absence;
  const level = Math.floor((kind - 1) / KINDS_OF_TOOLS) % LEVELS;
  const tools = (kind - 1) % KINDS_OF_TOOLS;
  const middle = isPairContext(kind) ? local(between) : absence;
  return sparseKey(level, local(agent), middle, local(current), tools);
}

/** Whether the third of the four numbers that name a context is an agent; else it is an absence. */
export function isPairContext(kind: number): boolean {
  return kind > 0 && Math.floor((kind - 1) / KINDS_OF_TOOLS) % LEVELS === PAIR;
}
