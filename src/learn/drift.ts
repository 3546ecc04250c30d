/** Successors of an agent that the short memory holds in effect: older ones fade. */
const SHORT_MEMORY = 32;
const GROWTH = 1 / (1 - 1 / SHORT_MEMORY);
/** Above it weights are scaled back, far below what a number can hold. */
const MOST_WEIGHT = 1e9;
/** Successors of an agent that pass on average before a false alarm, at least. */
const BETWEEN_FALSE_ALARMS = 10_000;
const ALARM = Math.log(BETWEEN_FALSE_ALARMS);
/** What is left of a successor below it is no evidence. */
const FORGOTTEN = 0.1;
/** Least probability: one surprise must not be an alarm. */
const LEAST = 1e-3;

/** The latest successors of an agent: instead of old counts shrinking, the weight of new ones grows. */
interface ShortMemory {
  weight: number;
  total: number;
  counts: number[];
  /** How far the short memory is ahead, as a sum of logarithms that never falls below 0. */
  lead: number;
}

/**
 * Tells when who follows an agent has changed, so that old counts are forgotten when the workload changes and at no other time.
 *
 * A short memory of an agent's latest successors predicts beside all that was counted, which it also starts from. Page's test
 * (1954, https://doi.org/10.1093/biomet/41.1-2.100) adds up the logarithm of how much better it does. Both give probabilities
 * that sum to 1 before the successor is known, so that while nothing changes their ratio is 1 in the mean, and false alarms
 * are at least exp(threshold) successors apart in the mean (Lorden 1971, https://doi.org/10.1214/aoms/1177693055).
 */
export class Drift {
  readonly #memories: (ShortMemory | undefined)[] = [];

  /**
   * `to` followed `from`; both are agent indices.
   *
   * @param probability of it, as all that was counted had it.
   * @returns true when what follows `from` has changed; `recent` then is what to go by.
   */
  came(from: number, to: number, probability: number): boolean {
    const memory = (this.#memories[from] ??= { weight: 1, total: 0, counts: [], lead: 0 });
    const { counts, weight } = memory;
    while (counts.length <= to) counts.push(0);
    const long = Math.max(LEAST, probability);
    const short = ((counts[to] as number) / weight + long) / (memory.total / weight + 1);
    memory.lead = Math.max(0, memory.lead + Math.log(short / long));
    counts[to] = (counts[to] as number) + weight;
    memory.total += weight;
    memory.weight = weight * GROWTH;
    if (memory.weight > MOST_WEIGHT) rescale(memory);
    if (memory.lead < ALARM) return false;
    memory.lead = 0;
    return true;
  }

  /** Counts of the latest successors of an agent, by agent index; they sum to `SHORT_MEMORY` at most. */
  recent(from: number): number[] {
    const memory = this.#memories[from];
    if (memory === undefined) return [];
    return memory.counts.map((count) => (count < FORGOTTEN * memory.weight ? 0 : count / memory.weight));
  }
}

function rescale(memory: ShortMemory): void {
  const { weight, counts } = memory;
  for (const [to, count] of counts.entries()) counts[to] = count / weight;
  memory.total /= weight;
  memory.weight = 1;
}
