import type { CacheEvent, GapEvent } from "../runtime/cache-event.ts";
import type { EngineAdapter } from "../runtime/engine.ts";

/** What an engine's stream of cache events has brought since the dashboard looks on. */
export interface EventCounts {
  /** unoffered: the adapter has no events. broken: the stream has ended by itself. */
  readonly state: "unoffered" | "open" | "broken";
  readonly events: number;
  readonly storedBlocks: number;
  readonly removedBlocks: number;
  readonly clearings: number;
  readonly gaps: Readonly<Record<GapEvent["reason"], number>>;
  /** Batches that are missing for good, where that is known. */
  readonly missed: number;
  /** Milliseconds on the runtime's clock; undefined before the first. */
  readonly latestAt: number | undefined;
}

/** Reads an engine's cache events, and counts them. */
export class EngineEvents {
  readonly #stopping = new AbortController();
  #counts: EventCounts = {
    state: "unoffered",
    events: 0,
    storedBlocks: 0,
    removedBlocks: 0,
    clearings: 0,
    gaps: { lost: 0, restart: 0, unreadable: 0 },
    missed: 0,
    latestAt: undefined,
  };

  constructor(adapter: Pick<EngineAdapter, "events">) {
    const events = adapter.events?.(this.#stopping.signal);
    if (!events) return;
    this.#counts = { ...this.#counts, state: "open" };
    this.#read(events).then(
      () => this.#break(),
      () => this.#break(),
    );
  }

  get counts(): EventCounts {
    return this.#counts;
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #read(events: AsyncIterable<CacheEvent>): Promise<void> {
    for await (const event of events) this.#count(event);
  }

  #count(event: CacheEvent): void {
    const { events, storedBlocks, removedBlocks, clearings, gaps, missed } = this.#counts;
    this.#counts = {
      ...this.#counts,
      events: events + 1,
      latestAt: event.at,
      ...(event.type === "block-stored" && { storedBlocks: storedBlocks + event.blocks.length }),
      ...(event.type === "block-removed" && { removedBlocks: removedBlocks + event.blocks.length }),
      ...(event.type === "cache-cleared" && { clearings: clearings + 1 }),
      ...(event.type === "gap" && {
        gaps: { ...gaps, [event.reason]: gaps[event.reason] + 1 },
        missed: missed + (event.missed ?? 0),
      }),
    };
  }

  #break(): void {
    this.#counts = { ...this.#counts, state: "broken" };
  }
}
