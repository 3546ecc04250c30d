import parsePrometheusTextFormat from "parse-prometheus-text-format";

/** Sums of counters and gauges in a Prometheus text page, by name; histograms and summaries are left out. */
export function readMetrics(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { name, metrics } of parsePrometheusTextFormat(text))
    for (const { value } of metrics) {
      const number = Number(value);
      if (value !== undefined && !Number.isNaN(number)) sums.set(name, (sums.get(name) ?? 0) + number);
    }
  return sums;
}
