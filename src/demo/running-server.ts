import type { Target } from "../arms/target.ts";
import { EngineError } from "../errors.ts";
import { readMetrics } from "../wire/prometheus.ts";

/** A server that already runs; it is left running, and its counters are read as differences. */
export async function attachTarget(baseURL: string, signal: AbortSignal): Promise<Target> {
  const { data } = (await (await get(`${baseURL}/models`, signal)).json()) as { data?: { id: string }[] };
  const model = data?.[0]?.id;
  if (model === undefined)
    throw new EngineError("ENGINE_RESPONSE", "demo", `${baseURL}/models lists no model`, {
      hint: "Pass the base URL of an OpenAI-compatible server, ending in /v1.",
    });
  const before = await counters(baseURL, signal);
  return {
    baseURL,
    model,
    // Calls are not tried again here, and a server may close a connection that it said it keeps (llama-server does).
    headers: { connection: "close" },
    async stats() {
      const now = await counters(baseURL, signal);
      const since = (name: string) => {
        const value = now.get(name);
        return value === undefined ? null : value - (before.get(name) ?? 0);
      };
      const busySeconds = since("cachesage_engine_busy_seconds_total");
      const computed = since("cachesage_engine_prefetch_computed_tokens_total");
      const used = since("cachesage_engine_prefetch_used_tokens_total");
      const wasted = since("cachesage_engine_prefetch_wasted_tokens_total");
      return {
        busyMs: busySeconds === null ? null : busySeconds * 1000,
        prefetch: computed === null || used === null || wasted === null ? null : { computed, used, wasted },
      };
    },
    close: async () => {},
  };
}

async function counters(baseURL: string, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  return readMetrics(await (await get(new URL("/metrics", baseURL), signal)).text());
}

async function get(url: string | URL, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new EngineError("ENGINE_UNREACHABLE", "demo", `no answer from ${url}`, {
      hint: "Is the server running? Start one with: cachesage serve",
      cause: error,
    });
  }
  if (response.ok) return response;
  throw new EngineError("ENGINE_RESPONSE", "demo", `${url} answered ${response.status}`, {
    hint: "Pass the base URL of an OpenAI-compatible server, ending in /v1.",
    status: response.status,
  });
}
