import { mean, quantile } from "simple-statistics";

/** @param {number[]} times microseconds */
export function summarise(times) {
  return { mean: mean(times), p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
