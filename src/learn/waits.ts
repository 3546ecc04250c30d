import { rounded } from "./state.ts";

/** Times are told apart by doublings, from a millisecond to about three days. */
const DOUBLINGS = 28;
/** Samples that count in full; beyond, old ones are halved. */
const WINDOW = 1024;

/** How long something takes, by doublings of milliseconds: enough for times that spread over orders of magnitude. */
export class Waits {
  readonly #counts = new Float64Array(DOUBLINGS);
  #samples = 0;

  add(milliseconds: number): void {
    const doubling = doublingOf(milliseconds);
    this.#counts[doubling] = (this.#counts[doubling] as number) + 1;
    this.#samples++;
    if (this.#samples <= WINDOW) return;
    this.#samples /= 2;
    for (let i = 0; i < DOUBLINGS; i++) this.#counts[i] = (this.#counts[i] as number) / 2;
  }

  /** Counts by doubling, without trailing zeros. */
  snapshot(): readonly number[] {
    return Array.from(
      this.#counts.subarray(0, this.#counts.findLastIndex((count) => count > 0) + 1),
      rounded,
    );
  }

  /** Adds what another process counted. */
  restore(counts: readonly number[]): void {
    for (const [doubling, count] of counts.slice(0, DOUBLINGS).entries()) {
      this.#counts[doubling] = (this.#counts[doubling] as number) + count;
      this.#samples += count;
    }
  }

  /** Milliseconds within which a `share` in (0, 1) of what was seen had ended, to a factor of 2; 0 before anything was seen. */
  quantile(share: number): number {
    let left = share * this.#samples;
    for (let i = 0; i < DOUBLINGS; i++) {
      const count = this.#counts[i] as number;
      // Within a doubling they lie evenly by their logarithm.
      if (left < count) return 2 ** (i + left / count);
      left -= count;
    }
    return 0;
  }

  /**
   * Ends per millisecond to be expected of what has gone on for `elapsed` milliseconds: the best rate over all horizons,
   * as in `hitRateIndex`. Positive always.
   *
   * @param tick milliseconds between two looks at it: no horizon is shorter, or one chance in a hundred to end within a
   * millisecond would count for more than a certain end within a second.
   */
  rate(elapsed: number, tick: number): number {
    const now = Math.max(1, elapsed);
    const first = doublingOf(now);
    // Of the times in the doubling that it is in, those are left that are longer; they lie evenly by their logarithm.
    const share = Math.max(0, first + 1 - Math.log2(now));
    let left = 1 + (this.#counts[first] as number) * share;
    for (let i = first + 1; i < DOUBLINGS; i++) left += this.#counts[i] as number;
    let best = 0;
    let came = 0;
    let waited = 0;
    for (let i = first; i < DOUBLINGS; i++) {
      const start = Math.max(now, 2 ** i);
      const end = 2 ** (i + 1);
      if (end <= start) break;
      const count = (this.#counts[i] as number) * (i === first ? share : 1);
      came += count;
      // The mean of what lies evenly by its logarithm between two ends.
      waited += count * ((end - start) / Math.log(end / start) - now);
      const rate = came / (waited + (left - came) * (end - now) + left * tick);
      if (rate > best) best = rate;
    }
    // Longer than all that was seen: as long again, then.
    return best > 0 ? best : 1 / (left * (now + tick));
  }
}

function doublingOf(milliseconds: number): number {
  return Math.min(DOUBLINGS - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, milliseconds)))));
}
