import { mean, median, quantile } from "simple-statistics";

const CHUNK = 1000;
/** What takes so many times as long as usual was interrupted by another process, or by a collection of garbage. */
const INTERRUPTED = 50;

/** @param {number[]} times microseconds */
export function summarise(times) {
  return { mean: mean(times), p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

/**
 * Mean without interruptions, and the 99th percentile as the median over chunks of 1,000: what other processes take from a
 * few chunks does not count, what happens in most of them does. `p99OfAll` has everything.
 *
 * @param {number[]} times microseconds, in the order in which they were measured
 */
export function summariseChunks(times) {
  const p50 = median(times);
  const chunks = Array.from({ length: Math.floor(times.length / CHUNK) }, (_, i) =>
    times.slice(i * CHUNK, (i + 1) * CHUNK),
  );
  return {
    mean: mean(times.filter((time) => time < INTERRUPTED * p50)),
    p50,
    p99: median(chunks.map((chunk) => quantile(chunk, 0.99))),
    p99OfAll: quantile(times, 0.99),
  };
}

/** A measure in three digits or so. */
export function number(value) {
  return value.toFixed(value < 10 ? 2 : 0);
}
