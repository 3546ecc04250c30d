import type { CacheEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter } from "../runtime/engine.ts";

/**
 * Reads an engine's cache events until it is stopped. A stream that breaks is told as a fault and not opened again.
 *
 * @returns stops reading; resolves when the stream is closed.
 */
export function pumpEvents(
  adapter: EngineAdapter,
  onEvent: (event: CacheEvent) => void,
  onFault: (error: unknown) => void,
): () => Promise<void> {
  const controller = new AbortController();
  const read = async (): Promise<void> => {
    for await (const event of adapter.events?.(controller.signal) ?? []) onEvent(event);
  };
  const done = read().catch(onFault);
  return async () => {
    controller.abort();
    await done;
  };
}
