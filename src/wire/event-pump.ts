import { setTimeout as delay } from "node:timers/promises";
import type { CacheEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter } from "../runtime/engine.ts";

/** Events read before everything else has its turn: a burst of them delays no request. */
const AT_ONCE = 256;
/** Milliseconds that stopping waits for a stream that does not heed its signal. */
const PATIENCE_MS = 500;

/**
 * Reads an engine's cache events until it is stopped. A stream that breaks is told as a fault and not opened again.
 *
 * @param onEnd told when the stream has ended, by itself or because it was stopped.
 * @returns stops reading; resolves when the stream is closed, or does not close.
 */
export function pumpEvents(
  adapter: Pick<EngineAdapter, "events">,
  onEvent: (event: CacheEvent) => void,
  onFault: (error: unknown) => void,
  onEnd: () => void = () => {},
): () => Promise<void> {
  const controller = new AbortController();
  const read = async (): Promise<void> => {
    let count = 0;
    for await (const event of (await adapter.events?.(controller.signal)) ?? []) {
      if (controller.signal.aborted) return;
      onEvent(event);
      if (++count % AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const done = read().catch(onFault).finally(onEnd);
  return async () => {
    controller.abort();
    await Promise.race([done, delay(PATIENCE_MS, undefined, { ref: false })]);
  };
}
