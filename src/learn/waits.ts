import { readCounts, writeCounts } from "./counts.ts";

/** Times are told apart by quarters of a doubling, from a millisecond to about three days. */
const PARTS = 4;
const CLASSES = 28 * PARTS;
/** Shortest time of each class, in milliseconds; of the last one also the longest. */
const STARTS = Float64Array.from({ length: CLASSES + 1 }, (_, i) => 2 ** (i / PARTS));
/** Mean time of each class: times in it lie evenly by their logarithm. */
const MEANS = Float64Array.from({ length: CLASSES }, (_, i) =>
  meanOf(STARTS[i] as number, STARTS[i + 1] as number),
);
/** What takes so many times as long as all but one in twenty did is not expected any more. */
const PATIENCE = 2;
/** Of what a rate becomes. */
const MOST_POINTS = 16;
/** Samples that count in full where nothing else is said. */
const WINDOW = 1024;

/** What a rate becomes: `[milliseconds from now, factor]`. */
export type Changes = readonly (readonly [number, number])[];

/** How long something takes, by the logarithm of milliseconds: enough for times that spread over orders of magnitude. */
export class Waits {
  readonly #window: number;
  readonly #counts = new Float64Array(CLASSES);
  #samples = 0;
  /** Classes from here on are empty. */
  #end = 0;

  /** @param window samples that count in full; beyond, old ones are halved. */
  constructor(window = WINDOW) {
    this.#window = window;
  }

  /** How many were seen; old ones count less. */
  get samples(): number {
    return this.#samples;
  }

  /** @param weight number of such waits. */
  add(milliseconds: number, weight = 1): void {
    const found = classOf(milliseconds);
    this.#counts[found] = (this.#counts[found] as number) + weight;
    this.#end = Math.max(this.#end, found + 1);
    this.#samples += weight;
    if (this.#samples > this.#window) this.halve();
  }

  /** Lets all that was seen count half. */
  halve(): void {
    this.#samples /= 2;
    for (let i = 0; i < this.#end; i++) this.#counts[i] = (this.#counts[i] as number) / 2;
  }

  /** Counts by class as `writeCounts` has them, without trailing zeros. */
  snapshot(): string {
    return writeCounts(this.#counts.subarray(0, this.#end));
  }

  /** Adds what another process counted. */
  restore(counts: string): void {
    for (const [found, count] of readCounts(counts).slice(0, CLASSES).entries()) {
      this.#counts[found] = (this.#counts[found] as number) + count;
      this.#samples += count;
      if (count > 0) this.#end = Math.max(this.#end, found + 1);
    }
  }

  /** Milliseconds within which a `share` in (0, 1) of what was seen had ended, to a fifth; 0 before anything was seen. */
  quantile(share: number): number {
    let left = share * this.#samples;
    for (let i = 0; i < this.#end; i++) {
      const count = this.#counts[i] as number;
      if (left < count) return 2 ** ((i + left / count) / PARTS);
      left -= count;
    }
    return 0;
  }

  /** Milliseconds after which the end is not expected any more; 0 before anything was seen. */
  get longest(): number {
    return PATIENCE * this.quantile(0.95);
  }

  /** Share of what was seen that took longer than so many milliseconds; 0 before anything was. */
  longer(milliseconds: number): number {
    const place = PARTS * Math.log2(Math.max(1, milliseconds));
    const first = Math.floor(place);
    if (first >= this.#end) return 0;
    let longer = (this.#counts[first] as number) * (first + 1 - place);
    for (let i = first + 1; i < this.#end; i++) longer += this.#counts[i] as number;
    return longer / this.#samples;
  }

  /**
   * What a rate becomes while nothing happens, at half doublings of the time elapsed, as far as times are told apart by what was
   * seen; empty before anything was.
   *
   * @param elapsed milliseconds until now.
   * @param rate given the milliseconds elapsed at another time.
   */
  changes(elapsed: number, rate: (elapsed: number) => number): Changes {
    const last = this.longest;
    const now = rate(elapsed);
    const points: (readonly [number, number])[] = [];
    for (
      let at = Math.max(elapsed, this.quantile(0.05) / 2, 1) * Math.SQRT2;
      at < last && points.length < MOST_POINTS;
      at *= Math.SQRT2
    )
      points.push([at - elapsed, rate(at) / now]);
    return points;
  }

  /**
   * Ends per millisecond to be expected of what has gone on for `elapsed` milliseconds: the best rate over all horizons,
   * as in `hitRateIndex`. Positive always.
   *
   * @param tick milliseconds between two looks at it: no horizon is shorter, or one chance in a hundred to end within a
   * millisecond would count for more than a certain end within a second.
   * @param never number of waits that do not end.
   */
  rate(elapsed: number, tick: number, never = 0): number {
    const now = Math.max(1, elapsed);
    const place = PARTS * Math.log2(now);
    const first = Math.min(CLASSES - 1, Math.floor(place));
    // Of the times in the class that it is in, those are left that are longer.
    const share = Math.max(0, first + 1 - place);
    let left = 1 + never + (this.#counts[first] as number) * share;
    for (let i = first + 1; i < this.#end; i++) left += this.#counts[i] as number;
    let best = 0;
    let came = 0;
    let waited = 0;
    for (let i = first; i < this.#end; i++) {
      const count = (this.#counts[i] as number) * (i === first ? share : 1);
      // A longer horizon in which nothing more ends has a lower rate.
      if (count === 0) continue;
      const end = STARTS[i + 1] as number;
      came += count;
      waited += count * ((i === first ? meanOf(now, end) : (MEANS[i] as number)) - now);
      const rate = came / (waited + (left - came) * (end - now) + left * tick);
      if (rate > best) best = rate;
    }
    // Longer than all that was seen: as long again, then.
    return best > 0 ? best : 1 / (left * (now + tick));
  }
}

/** Mean of what lies evenly by its logarithm between two ends; where they are too near to tell, the first. */
function meanOf(start: number, end: number): number {
  const ratio = Math.log(end / start);
  return ratio > 0 ? (end - start) / ratio : start;
}

function classOf(milliseconds: number): number {
  return Math.min(CLASSES - 1, Math.max(0, Math.floor(PARTS * Math.log2(Math.max(1, milliseconds)))));
}
