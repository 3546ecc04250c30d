import parsePrometheusTextFormat from "parse-prometheus-text-format";

/**
 * Sums over labels of what a Prometheus text page tells, by name: counters and gauges as they are, of histograms and summaries
 * `_sum` and `_count`.
 */
export function readMetrics(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  const add = (name: string, value: string | undefined): void => {
    const number = Number(value);
    if (value !== undefined && !Number.isNaN(number)) sums.set(name, (sums.get(name) ?? 0) + number);
  };
  for (const { name, metrics } of parsePrometheusTextFormat(text))
    for (const { value, sum, count } of metrics) {
      add(name, value);
      add(`${name}_sum`, sum);
      add(`${name}_count`, count);
    }
  return sums;
}
