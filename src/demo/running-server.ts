import type { Target } from "../arms/target.ts";
import { EngineError } from "../errors.ts";
import { EngineHttp } from "../wire/engine-http.ts";
import { readMetrics } from "../wire/prometheus.ts";

/**
 * A server that already runs; it is left running, and its counters are read as differences. Throws EngineError.
 *
 * @param engine what runs there, for errors.
 * @param url base URL, with or without `/v1`.
 */
export async function attachTarget(engine: string, url: string, signal: AbortSignal): Promise<Target> {
  const start =
    engine === "embedded" ? "Start the engine with: cachesage serve, or name it: --engine-name" : undefined;
  const http = new EngineHttp({ engine, url, ...(start !== undefined && { start }) });
  const { baseURL } = http;
  const { data } = (await http.probe("/v1/models", signal)) as { data?: { id: string }[] };
  const model = data?.[0]?.id;
  if (model === undefined)
    throw new EngineError("ENGINE_RESPONSE", engine, `${baseURL}/models lists no model`, {
      hint: "Pass the base URL of an OpenAI-compatible server that serves a model.",
    });
  const before = await counters(http, signal);
  return {
    baseURL,
    model,
    // Calls are not tried again here, and a server may close a connection that it said it keeps (llama-server does).
    headers: { connection: "close" },
    async stats() {
      const now = await counters(http, signal);
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

/** Empty where the server shows none, as llama-server without `--metrics`. */
async function counters(http: EngineHttp, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  try {
    return readMetrics(await http.text("/metrics", { signal }));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof EngineError && error.code === "ENGINE_RESPONSE") return new Map();
    throw error;
  }
}
