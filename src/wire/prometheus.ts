import parsePrometheusTextFormat from "parse-prometheus-text-format";

/** The parser loses sum and count of a histogram that has labels; without its type they are plain samples. */
const TYPE_OF_MANY = /^# TYPE \S+ (?:histogram|summary)$/gm;

/**
 * Sums over labels of what a Prometheus text page tells, by name: counters and gauges as they are, of histograms and summaries
 * `_sum` and `_count`. Empty for what is no such page, as what a proxy answers to an address that it does not know.
 */
export function readMetrics(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { name, metrics } of parsed(text)) {
    if (name.endsWith("_bucket")) continue;
    for (const { value } of metrics) {
      const number = Number(value);
      if (value !== undefined && !Number.isNaN(number)) sums.set(name, (sums.get(name) ?? 0) + number);
    }
  }
  return sums;
}

function parsed(text: string): ReturnType<typeof parsePrometheusTextFormat> {
  try {
    return parsePrometheusTextFormat(text.replace(TYPE_OF_MANY, ""));
  } catch {
    return [];
  }
}
