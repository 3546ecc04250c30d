import { AGENTS } from "./agents.ts";
import { ANSWERS, type Answer, UNKNOWN } from "./answer.ts";
import { Contexts } from "./contexts.ts";
import { CountReader, writeCounts } from "./counts.ts";
import { Histograms } from "./histograms.ts";
import { BUCKETS, bucketOf, NEVER, STEPS } from "./horizon.ts";
import { Trust } from "./trust.ts";

/** Absences are told apart up to this many steps; longer ones share a class. */
const LONGEST_ABSENCE = 12;
const ABSENCES = LONGEST_ABSENCE + 1;
/** Lessons of which one teaches trust as well: those of one absence are much alike. */
const TRUST_EVERY = 4;
/** Samples of a context that still count after a change. */
const AFTER_CHANGE = 16;
/** Cold chances are told apart up to this absence. */
const COLD_ABSENCES = 64;

/** Where a run is, as seen from one agent of it. All but `absence`, `turns` and `answer` are agent indices. */
export interface Whereabouts {
  agent: number;
  /** Steps since the agent's last call; 0 when that was the run's last. */
  absence: number;
  /** Agent of the run's last call, of the call before, and the last one's answer. */
  current: number;
  previous: number;
  answer: Answer;
  /** Calls that the last one's agent has made in a row, and the agent that called before those. */
  turns: number;
  before: number;
}

/** To be filled in. */
export function nowhere(): Whereabouts {
  return { agent: 0, absence: 0, current: 0, previous: 0, answer: UNKNOWN, turns: 0, before: 0 };
}

/**
 * Return times: in how many steps (model calls of the run) does an agent call again?
 *
 * Counted in five contexts, each trusted over the one before as far as that has been right: any agent's absence; the agent
 * and its absence; the agent with the last two agents; the agent with its absence, the last two agents and the last answer,
 * once that is known; an agent that calls again and again with how often in a row, and after whom. Below them all lies Zipf's law of recency, by which the chance to
 * return falls as 1/absence: cold statistics therefore rank like LRU.
 */
export class ReturnTimes {
  /** By agent and absence; agent 0, which is none, stands for any. */
  readonly #dense = new Histograms();
  #agents = 1;
  /** The two that know who called last. */
  readonly #sparse = new Contexts();
  readonly #trust = {
    law: new Trust(),
    agent: new Trust(),
    pair: new Trust(),
    answer: new Trust(),
    turns: new Trust(),
  };
  #lessons = 0;

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
    const { law, agent, pair, answer, turns } = this.#trust;
    this.#dense.refine(absence, law.doubt, out);
    this.#dense.refine(at.agent * ABSENCES + absence, agent.doubt, out);
    this.#sparse.refine(pairKey(at), pair.doubt, out);
    if (at.answer !== UNKNOWN) this.#sparse.refine(answerKey(at), answer.doubt, out);
    if (isInRow(at)) this.#sparse.refine(turnsKey(at), turns.doubt, out);
  }

  /** Probability that the agent is the next to call, as its return times alone have it. */
  next(at: Whereabouts): number {
    const absence = Math.min(at.absence, LONGEST_ABSENCE);
    const { law, agent, pair, answer, turns } = this.#trust;
    let chance = this.#dense.refined(absence, law.doubt, 0, coldLaw(at.absence)[0] as number);
    chance = this.#dense.refined(at.agent * ABSENCES + absence, agent.doubt, 0, chance);
    chance = this.#sparse.refined(pairKey(at), pair.doubt, 0, chance);
    if (at.answer !== UNKNOWN) chance = this.#sparse.refined(answerKey(at), answer.doubt, 0, chance);
    return isInRow(at) ? this.#sparse.refined(turnsKey(at), turns.doubt, 0, chance) : chance;
  }

  /** Who follows whom has changed: what was counted is left as much weight as a few runs give it again. */
  fade(): void {
    this.#dense.fade(AFTER_CHANGE);
    this.#sparse.fade(AFTER_CHANGE);
  }

  /**
   * The contexts best known, as `writeCounts` has them: five numbers that name it, how many counts there are, and those by bucket.
   *
   * @param room characters at most; default: no limit. @param isTold whether an agent's contexts are to be there; default: all are.
   */
  snapshot(room = Number.POSITIVE_INFINITY, isTold: (agent: number) => boolean = () => true): string {
    const all = [...this.#sparse.entries()];
    for (let slot = 0; slot < this.#agents * ABSENCES; slot++)
      if (this.#dense.samples(slot) > 0)
        all.push([slot, this.#dense.samples(slot), this.#dense.counts(slot)]);
    const best = all.toSorted(
      ([key, samples], [other, others]) => rankOf(other, others) - rankOf(key, samples) || key - other,
    );
    let text = "";
    for (const [key, , counts] of best) {
      const parts = partsOf(key);
      if (!isTold(parts[1])) continue;
      const context = writeCounts([...parts, counts.length, ...counts]);
      if (text.length + context.length > room) break;
      text += context;
    }
    return text;
  }

  /** Forgets the contexts of some agents. */
  forget(isOver: (agent: number) => boolean): void {
    for (let slot = 0; slot < this.#agents * ABSENCES; slot++)
      if (this.#dense.samples(slot) > 0 && isOver(partsOf(slot)[1])) this.#dense.clear(slot);
    this.#sparse.forget((key) => isOver(partsOf(key)[1]));
  }

  /**
   * Adds counts of another process.
   *
   * @param local translates its agent indices to this one's. @param localCaller those of agents that called last; default: the same.
   */
  restore(text: string, local: (agent: number) => number, localCaller = local): void {
    for (const reader = new CountReader(text); !reader.isAtEnd;) {
      const parts = [reader.next(), reader.next(), reader.next(), reader.next(), reader.next()] as const;
      const key = keyOf(parts, local, localCaller);
      for (const [bucket, count] of reader.list().entries()) {
        if (count === 0 || bucket >= BUCKETS) continue;
        if (key < SPARSE) this.#mergeDense(key, bucket, count);
        else this.#sparse.merge(key, bucket, count);
      }
    }
  }

  #count(from: Whereabouts, bucket: number, weight: number): void {
    const absence = Math.min(from.absence, LONGEST_ABSENCE);
    if (++this.#lessons % TRUST_EVERY === 0) this.#learnTrust(from, bucket);
    this.#dense.add(absence, bucket, weight);
    this.#agents = Math.max(this.#agents, from.agent + 1);
    this.#dense.add(from.agent * ABSENCES + absence, bucket, weight);
    this.#sparse.add(pairKey(from), bucket, weight);
    if (from.answer !== UNKNOWN) this.#sparse.add(answerKey(from), bucket, weight);
    if (isInRow(from)) this.#sparse.add(turnsKey(from), bucket, weight);
  }

  #learnTrust(from: Whereabouts, bucket: number): void {
    const absence = Math.min(from.absence, LONGEST_ABSENCE);
    const { law, agent, pair, answer, turns } = this.#trust;
    let chance = this.#dense.came(absence, law, bucket, coldLaw(from.absence)[bucket] as number);
    chance = this.#dense.came(from.agent * ABSENCES + absence, agent, bucket, chance);
    chance = this.#sparse.came(pairKey(from), pair, bucket, chance);
    if (from.answer !== UNKNOWN) chance = this.#sparse.came(answerKey(from), answer, bucket, chance);
    if (isInRow(from)) this.#sparse.came(turnsKey(from), turns, bucket, chance);
  }

  #mergeDense(slot: number, bucket: number, weight: number): void {
    this.#agents = Math.max(this.#agents, Math.floor(slot / ABSENCES) + 1);
    this.#dense.merge(slot, bucket, weight);
  }
}

/** Contexts of any agent come first in a snapshot, since all others lean on them; then those of most samples. */
function rankOf(key: number, samples: number): number {
  return key < ABSENCES ? Number.MAX_VALUE : samples;
}

const cold: (Float64Array | undefined)[] = [];

/** By Zipf's law: hazard 1/(absence + steps + 2) at each step to come; or `next` at the first one, and by the law from then on. */
function coldReturns(absence: number, next: number | undefined, out: Float64Array): void {
  const law = coldLaw(absence);
  const first = law[0] as number;
  out[0] = next ?? first;
  const rest = next === undefined ? 1 : (1 - next) / (1 - first);
  for (let bucket = 1; bucket < BUCKETS; bucket++) out[bucket] = (law[bucket] as number) * rest;
}

function coldLaw(absence: number): Float64Array {
  const known = Math.min(absence, COLD_ABSENCES - 1);
  return (cold[known] ??= zipf(known));
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

/**
 * Keys of dense contexts are their slots. Those of sparse ones are positive 32-bit integers: agent, last two agents, absence
 * and answer, from the highest bits to the lowest; they lie above the slots, since no agent that calls has index 0.
 */
const SPARSE = AGENTS * ABSENCES;
/** Stands for any absence. */
const ANY_ABSENCE = 15;

const pairKey = (at: Whereabouts) => sparseKey(at.agent, at.previous, at.current, ANY_ABSENCE, UNKNOWN);
const answerKey = (at: Whereabouts) =>
  sparseKey(at.agent, at.previous, at.current, Math.min(at.absence, LONGEST_ABSENCE), at.answer);

/** The agent that called last has not been absent: its calls in a row stand in the absence's place. */
const turnsKey = (at: Whereabouts) => sparseKey(at.agent, at.before, at.current, at.turns, at.answer);
const isInRow = (at: Whereabouts) => at.absence === 0 && at.turns > 1 && at.answer !== UNKNOWN;

function sparseKey(
  agent: number,
  previous: number,
  current: number,
  absence: number,
  answer: Answer,
): number {
  const agents = (agent * AGENTS + previous) * AGENTS + current;
  return (agents * (ANY_ABSENCE + 1) + absence) * ANSWERS + answer;
}

/** 0 for a dense context, else the answer and 1; the agent, its absence, the last two agents. */
type ContextParts = readonly [number, number, number, number, number];

function partsOf(key: number): ContextParts {
  if (key < SPARSE) return [0, Math.floor(key / ABSENCES), key % ABSENCES, 0, 0];
  const rest = Math.floor(key / ANSWERS);
  const agents = Math.floor(rest / (ANY_ABSENCE + 1));
  const last = [Math.floor(agents / AGENTS) % AGENTS, agents % AGENTS] as const;
  return [1 + (key % ANSWERS), Math.floor(agents / AGENTS ** 2), rest % (ANY_ABSENCE + 1), ...last];
}

function keyOf(
  [kind, agent, away, previous, current]: ContextParts,
  local: (agent: number) => number,
  localCaller: (agent: number) => number,
): number {
  const absence = Math.min(away, LONGEST_ABSENCE);
  if (kind === 0) return (agent === 0 ? 0 : local(agent)) * ABSENCES + absence;
  const answer = (kind - 1) % ANSWERS;
  return sparseKey(
    local(agent),
    localCaller(previous),
    localCaller(current),
    away === ANY_ABSENCE ? away : absence,
    answer,
  );
}
