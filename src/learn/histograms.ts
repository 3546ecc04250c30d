import { BUCKETS } from "./horizon.ts";
import type { Trust } from "./trust.ts";

/**
 * Samples of a histogram that count in full: at 512 the standard error of a probability is at most 2 %. Beyond, old
 * ones are halved, so that a workload that changes is followed within as many samples.
 */
const WINDOW = 512;

/** Histograms of return times (BUCKETS numbers each) in one flat array: no object each, and no pause to collect them. */
export class Histograms {
  #counts: Float32Array;
  #samples: Float32Array;
  #distinct: Uint8Array;

  /** @param size room to begin with; more is made as it is used. */
  constructor(size = 64) {
    this.#counts = new Float32Array(size * BUCKETS);
    this.#samples = new Float32Array(size);
    this.#distinct = new Uint8Array(size);
  }

  /** Samples that count in a histogram; 0 for one that was never used. */
  samples(slot: number): number {
    return this.#samples[slot] ?? 0;
  }

  /** Counts `weight` samples of a bucket. */
  add(slot: number, bucket: number, weight: number): void {
    this.merge(slot, bucket, weight);
    if ((this.#samples[slot] as number) > WINDOW) this.#scale(slot, 1 / 2);
  }

  /** The same for what another process counted: whole numbers, of which none is halved, so that their order does not matter. */
  merge(slot: number, bucket: number, weight: number): void {
    if (slot >= this.#samples.length) this.#grow(slot);
    const at = slot * BUCKETS + bucket;
    const before = this.#counts[at] as number;
    if (before === 0) this.#distinct[slot] = (this.#distinct[slot] as number) + 1;
    this.#counts[at] = before + weight;
    this.#samples[slot] = (this.#samples[slot] as number) + weight;
  }

  /**
   * Mixes a histogram into the BUCKETS probabilities of `out`: n samples with t distinct outcomes have weight
   * n/(n + doubt t), what `out` held before has the rest. See `Trust`.
   */
  refine(slot: number, doubt: number, out: Float64Array): void {
    const samples = this.#samples[slot] ?? 0;
    if (samples === 0) return;
    const distinct = doubt * (this.#distinct[slot] as number);
    const share = 1 / (samples + distinct);
    const rest = distinct * share;
    const counts = this.#counts;
    const from = slot * BUCKETS;
    for (let bucket = 0; bucket < BUCKETS; bucket++)
      out[bucket] = (counts[from + bucket] as number) * share + (out[bucket] as number) * rest;
  }

  /** The same for the probability of a bucket alone, which was `below` before. */
  refined(slot: number, doubt: number, bucket: number, below: number): number {
    const samples = this.#samples[slot] ?? 0;
    if (samples === 0) return below;
    const distinct = doubt * (this.#distinct[slot] as number);
    return ((this.#counts[slot * BUCKETS + bucket] as number) + distinct * below) / (samples + distinct);
  }

  /** A sample of a bucket came, before it is counted. @returns its probability, which was `below` before. */
  came(slot: number, trust: Trust, bucket: number, below: number): number {
    const samples = this.#samples[slot] ?? 0;
    if (samples === 0) return below;
    const count = this.#counts[slot * BUCKETS + bucket] as number;
    return trust.came(count, samples, this.#distinct[slot] as number, below);
  }

  /** Leaves every histogram `most` samples at most. */
  fade(most: number): void {
    for (const [slot, samples] of this.#samples.entries())
      if (samples > most) this.#scale(slot, most / samples);
  }

  clear(slot: number): void {
    for (let at = slot * BUCKETS; at < (slot + 1) * BUCKETS; at++) this.#counts[at] = 0;
    this.#samples[slot] = 0;
    this.#distinct[slot] = 0;
  }

  /** Counts by bucket, without trailing zeros. */
  counts(slot: number): number[] {
    const counts = this.#counts.subarray(slot * BUCKETS, (slot + 1) * BUCKETS);
    return [...counts.subarray(0, counts.findLastIndex((count) => count > 0) + 1)];
  }

  #scale(slot: number, factor: number): void {
    let samples = 0;
    let distinct = 0;
    for (let at = slot * BUCKETS; at < (slot + 1) * BUCKETS; at++) {
      // What remains of a single sample after several halvings is no evidence.
      const count = (this.#counts[at] as number) * factor;
      this.#counts[at] = count < 0.1 ? 0 : count;
      if (count < 0.1) continue;
      samples += count;
      distinct++;
    }
    this.#samples[slot] = samples;
    this.#distinct[slot] = distinct;
  }

  #grow(slot: number): void {
    const size = 2 * slot;
    const counts = new Float32Array(size * BUCKETS);
    counts.set(this.#counts);
    this.#counts = counts;
    const samples = new Float32Array(size);
    samples.set(this.#samples);
    this.#samples = samples;
    const distinct = new Uint8Array(size);
    distinct.set(this.#distinct);
    this.#distinct = distinct;
  }
}
