import type { CacheEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter } from "../runtime/engine.ts";
import { kvEvents, type KvEventStream } from "./kv-events.ts";
import { mergeEvents } from "./merge-events.ts";

/** The `events` of an adapter whose engine publishes at these addresses; nothing when there are none. */
export function kvEventStreams(
  streams: readonly KvEventStream[],
): Pick<EngineAdapter, "events" | "readsEvents"> {
  return streams.length === 0 ? {} : { readsEvents: true, events: (signal) => readAll(streams, signal) };
}

/** All of them as one stream. */
export function readAll(
  streams: readonly KvEventStream[],
  signal: AbortSignal | undefined,
): AsyncGenerator<CacheEvent> {
  return mergeEvents(
    streams.map((stream) => kvEvents(stream, signal)),
    signal,
  );
}
