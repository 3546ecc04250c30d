import type { EngineAdapter, EngineDefinition, PromptTotals } from "../runtime/engine.ts";
import { CONNECT_TIMEOUT_MS, type EngineHttp } from "../wire/engine-http.ts";
import { readMetrics } from "../wire/prometheus.ts";
import type { Finding } from "./finding.ts";

/** What the server's own counters say of the time of these trials, and how much of it is theirs. */
export async function tryServed(
  adapter: Pick<EngineAdapter, "supports" | "status" | "warmUps">,
  trials: PromptTotals,
): Promise<Finding> {
  const what = "warm-ups";
  if (adapter.supports.prefetch === "native" && adapter.warmUps === undefined)
    return {
      what,
      verdict: "absent",
      detail: "A prefetch is no request here: there is nothing to take out.",
    };
  const { served } = (await adapter.status?.().catch(() => undefined)) ?? {};
  if (served?.promptTokens === undefined)
    return {
      what,
      verdict: "absent",
      detail: "The server's counters cannot be read, so nothing is taken out.",
    };
  const own = adapter.warmUps?.promptTokens ?? 0;
  const others = Math.max(0, served.promptTokens - trials.promptTokens);
  const detail =
    `Of ${served.promptTokens + own} prompt tokens that the server counted, ${own} were of warm-ups and are taken out, ` +
    `${trials.promptTokens} of these trials, ${others} of others.`;
  return { what, verdict: "works", detail };
}

/** Reads the server's Prometheus page. */
export async function tryMetrics(
  http: EngineHttp,
  { remedies }: EngineDefinition,
  signal: AbortSignal,
): Promise<Finding> {
  const what = "metrics";
  try {
    const { size } = readMetrics(await http.text("/metrics", { signal, withinMs: CONNECT_TIMEOUT_MS }));
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
