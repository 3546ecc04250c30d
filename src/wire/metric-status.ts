import { EngineError } from "../errors.ts";
import type { EngineStatus } from "../runtime/engine.ts";
import { CONNECT_TIMEOUT_MS, type EngineHttp } from "./engine-http.ts";
import { readMetrics } from "./prometheus.ts";
import type { ServedTotals } from "./served-totals.ts";

/**
 * Makes `status` of a server's Prometheus page at `/metrics`. A server that answers and has no such page tells nothing, and is
 * up all the same.
 *
 * @param served adds what apps asked for, without warm-ups.
 * @param read makes a status of the page's sums by name, and of the page itself where labels matter.
 */
export function metricStatus(
  http: EngineHttp,
  served: ServedTotals,
  read: (sums: ReadonlyMap<string, number>, page: string) => EngineStatus,
): (signal?: AbortSignal) => Promise<EngineStatus> {
  return async (signal) => {
    try {
      const page = await http.text("/metrics", { signal, withinMs: CONNECT_TIMEOUT_MS });
      const sums = readMetrics(page);
      const totals = served.since(sums);
      return { ...read(sums, page), ...(totals && { served: totals }) };
    } catch (error) {
      const status = error instanceof EngineError ? (error.status ?? 0) : 0;
      // 501 is what llama-server says without --metrics; 502 and the like are a proxy's word for a server that is down.
      if ((status >= 400 && status < 500) || status === 501) return {};
      throw error;
    }
  };
}

/** Requests that are computed and that wait, by the names of their gauges; what the page lacks is not known. */
export function load(
  sums: ReadonlyMap<string, number>,
  names: { readonly running?: string; readonly waiting: string },
): EngineStatus {
  const running = names.running === undefined ? undefined : sums.get(names.running);
  const waiting = sums.get(names.waiting);
  return { ...(running !== undefined && { running }), ...(waiting !== undefined && { waiting }) };
}
