import { Histograms } from "./histograms.ts";
import type { Trust } from "./trust.ts";

/** A context has so many places to be in, and competes for them with the others that fall on them. */
const WAYS = 8;
const SET_BITS = 7;
const PLACES = WAYS << SET_BITS;
/** 2^32 divided by the golden ratio: spreads keys evenly (Knuth, The Art of Computer Programming 3, 6.4). */
const SPREAD = 0x9e3779b1;

/**
 * Histograms by context, of a bounded number of contexts, in flat arrays: finding one and making room for one take the
 * same short time always. Where there is no room, the context that was seen least goes.
 */
export class Contexts {
  /** By place; 0 for none. */
  readonly #keys = new Int32Array(PLACES);
  readonly #histograms = new Histograms(PLACES);

  /** Counts `weight` samples of a bucket. @param key a positive 32-bit integer. */
  add(key: number, bucket: number, weight: number): void {
    this.#histograms.add(this.#claim(key), bucket, weight);
  }

  /** As `Histograms.merge`. */
  merge(key: number, bucket: number, weight: number): void {
    this.#histograms.merge(this.#claim(key), bucket, weight);
  }

  /** As `Histograms.refine`; does nothing for a context that is not known. */
  refine(key: number, doubt: number, out: Float64Array): void {
    const place = this.#find(key);
    if (place >= 0) this.#histograms.refine(place, doubt, out);
  }

  /** As `Histograms.refined`; `below` for a context that is not known. */
  refined(key: number, doubt: number, bucket: number, below: number): number {
    const place = this.#find(key);
    return place < 0 ? below : this.#histograms.refined(place, doubt, bucket, below);
  }

  /** As `Histograms.came`; `below` for a context that is not known. */
  came(key: number, trust: Trust, bucket: number, below: number): number {
    const place = this.#find(key);
    return place < 0 ? below : this.#histograms.came(place, trust, bucket, below);
  }

  /** As `Histograms.fade`. */
  fade(most: number): void {
    this.#histograms.fade(most);
  }

  /** Every context with its samples and counts by bucket, without trailing zeros. */
  *entries(): Generator<readonly [key: number, samples: number, counts: readonly number[]]> {
    for (let place = 0; place < PLACES; place++)
      if (this.#keys[place] !== 0)
        yield [this.#keys[place] as number, this.#histograms.samples(place), this.#histograms.counts(place)];
  }

  /** Forgets contexts by their key. */
  forget(isOver: (key: number) => boolean): void {
    for (let place = 0; place < PLACES; place++)
      if (this.#keys[place] !== 0 && isOver(this.#keys[place] as number)) {
        this.#keys[place] = 0;
        this.#histograms.clear(place);
      }
  }

  /** @returns -1 where the context is not known. */
  #find(key: number): number {
    const first = firstPlace(key);
    for (let place = first; place < first + WAYS; place++) if (this.#keys[place] === key) return place;
    return -1;
  }

  #claim(key: number): number {
    const known = this.#find(key);
    if (known >= 0) return known;
    const first = firstPlace(key);
    let least = first;
    for (let place = first + 1; place < first + WAYS; place++)
      if (this.#histograms.samples(place) < this.#histograms.samples(least)) least = place;
    if (this.#keys[least] !== 0) this.#histograms.clear(least);
    this.#keys[least] = key;
    return least;
  }
}

function firstPlace(key: number): number {
  return (Math.imul(key, SPREAD) >>> (32 - SET_BITS)) * WAYS;
}
