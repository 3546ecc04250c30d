import type { EngineDefinition } from "../runtime/engine.ts";
import type { EngineHttp } from "../wire/engine-http.ts";
import { readMetrics } from "../wire/prometheus.ts";
import type { Finding } from "./finding.ts";

/** Reads the server's Prometheus page. */
export async function tryMetrics(
  http: EngineHttp,
  { remedies }: EngineDefinition,
  signal: AbortSignal,
): Promise<Finding> {
  const what = "metrics";
  try {
    const { size } = readMetrics(await http.text("/metrics", { signal }));
    if (size === 0) throw new Error("The page at /metrics names no counter.");
    return { what, verdict: "works", detail: `${size} counters and gauges at /metrics.` };
  } catch (error) {
    const add = remedies?.metrics;
    const [detail = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    return {
      what,
      verdict: add === undefined ? "absent" : "needs flag",
      detail,
      ...(add !== undefined && { add }),
    };
  }
}
