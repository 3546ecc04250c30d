/** Gaps are told apart by doublings, from a millisecond to about three days. */
const DOUBLINGS = 28;
/** Samples that count in full; beyond, old ones are halved. */
const WINDOW = 1024;
/** Whether the call before the gap asked for tools: unknown (which counts all gaps), no, yes. */
const KINDS = 3;
/** Before this many gaps were seen, every run is taken to be as fast as any other. */
const LEAST_SAMPLES = 16;

/**
 * How fast a run goes on, by the clock: a run in the middle of its tools is back in seconds, one that waits for a
 * person may not be back for an hour, and what has been idle for long stays idle for long.
 *
 * Gaps between a run's calls are counted by their doublings; the pace of a run that has been idle for some time is the best
 * rate of returns over all horizons, as in `hitRateIndex`, given that the gap is longer than that.
 */
export class Pace {
  readonly #counts = Array.from({ length: KINDS }, () => new Float64Array(DOUBLINGS));
  readonly #samples = new Float64Array(KINDS);
  /** Of all gaps: the mean is what others are compared with. */
  #sum = 0;
  #total = 0;
  /** The answer given last: a run's prefixes are asked about one after the other. */
  #asked = { kind: 0, idle: Number.NaN, pace: 1 };

  /** A run called again after so many milliseconds. */
  gap(kind: number, milliseconds: number): void {
    this.#asked.idle = Number.NaN;
    this.#count(0, milliseconds);
    if (kind !== 0) this.#count(kind, milliseconds);
    this.#sum += milliseconds;
    this.#total++;
  }

  #count(kind: number, milliseconds: number): void {
    const counts = this.#counts[kind] as Float64Array;
    const doubling = doublingOf(milliseconds);
    counts[doubling] = (counts[doubling] as number) + 1;
    const samples = (this.#samples[kind] as number) + 1;
    this.#samples[kind] = samples > WINDOW ? samples / 2 : samples;
    if (samples > WINDOW) for (let i = 0; i < DOUBLINGS; i++) counts[i] = (counts[i] as number) / 2;
  }

  /**
   * Steps that a run is expected to make in the time in which an average run makes one; 1 while little is known.
   *
   * @param idle milliseconds since its last call.
   */
  relative(kind: number, idle: number): number {
    if (this.#total < LEAST_SAMPLES || this.#sum <= 0) return 1;
    const asked = this.#asked;
    if (asked.kind === kind && asked.idle === idle) return asked.pace;
    asked.kind = kind;
    asked.idle = idle;
    asked.pace = this.#relative(kind, idle);
    return asked.pace;
  }

  #relative(kind: number, idle: number): number {
    const counts = this.#counts[kind] as Float64Array;
    const from = doublingOf(idle);
    let left = 0;
    for (let i = from; i < DOUBLINGS; i++) left += counts[i] as number;
    // One more gap, as long as the run has been idle already, stands for what was never seen.
    left += 1;
    let best = 0;
    let came = 0;
    let waited = 0;
    for (let i = from; i < DOUBLINGS; i++) {
      const wait = Math.max(1, 2 ** i * 1.5 - idle);
      const count = counts[i] as number;
      came += count;
      waited += count * wait;
      const rate = came / (waited + (left - came) * Math.max(1, 2 ** (i + 1) - idle));
      if (rate > best) best = rate;
    }
    best = Math.max(best, 1 / (left * Math.max(1, idle)));
    return best * (this.#sum / this.#total);
  }
}

function doublingOf(milliseconds: number): number {
  return Math.min(DOUBLINGS - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, milliseconds)))));
}
