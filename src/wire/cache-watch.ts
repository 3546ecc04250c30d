import type { CacheEvent, GapEvent } from "../runtime/cache-event.ts";
import type { CacheState, CacheStates } from "../runtime/cache-state.ts";
import type { EngineAdapter } from "../runtime/engine.ts";
import { pumpEvents } from "./event-pump.ts";
import { ResidentBlocks } from "./resident-blocks.ts";

export interface CacheWatchParts {
  readonly adapter: Pick<EngineAdapter, "events">;
  /** Told of each event after it was counted. */
  readonly onEvent: (event: CacheEvent) => void;
  readonly onFault: (error: unknown) => void;
  readonly resident?: ResidentBlocks;
}

interface Counts {
  worker: string | undefined;
  events: number;
  storedBlocks: number;
  removedBlocks: number;
  clearings: number;
  readonly gaps: Record<GapEvent["reason"], number>;
  missed: number;
  latestAt: number;
  lagMs: number | undefined;
  gapAt: number | undefined;
}

/** Caches that are told apart; the one silent for longest goes first. */
const MAX_CACHES = 1000;

/** Reads an engine's cache events, off the request path, and keeps what they say is resident where. */
export class CacheWatch {
  readonly #parts: CacheWatchParts;
  readonly #resident: ResidentBlocks;
  /** The one heard of last comes last. */
  readonly #counts = new Map<string, Counts>();
  #stop: (() => Promise<void>) | undefined;
  #stream: CacheStates["stream"];

  constructor(parts: CacheWatchParts) {
    this.#parts = parts;
    this.#resident = parts.resident ?? new ResidentBlocks();
    this.#stream = parts.adapter.events ? "unread" : "unoffered";
  }

  /** Begins to read, the first time that it is called. */
  start(): this {
    const { adapter, onEvent, onFault } = this.#parts;
    if (this.#stream !== "unread") return this;
    this.#stream = "open";
    this.#stop = pumpEvents(
      adapter,
      (event) => {
        this.#observe(event);
        onEvent(event);
      },
      onFault,
      () => (this.#stream = "ended"),
    );
    return this;
  }

  get states(): CacheStates {
    const caches = [...this.#counts].map(
      ([source, { worker, lagMs, gapAt, gaps, ...counts }]): CacheState => {
        const held = this.#resident.holdings(source);
        return {
          source,
          ...(worker !== undefined && { worker }),
          residentBlocks: held?.blocks ?? 0,
          residentTokens: held?.tokens ?? 0,
          media: held?.media ?? {},
          isComplete: held?.isComplete ?? gapAt === undefined,
          ...counts,
          gaps: { ...gaps },
          ...(lagMs !== undefined && { lagMs }),
          ...(gapAt !== undefined && { gapAt }),
        };
      },
    );
    return { stream: this.#stream, caches: caches.toSorted((a, b) => (a.source < b.source ? -1 : 1)) };
  }

  /** For good. */
  async stop(): Promise<void> {
    if (this.#stream === "unread") this.#stream = "ended";
    await this.#stop?.();
  }

  #observe(event: CacheEvent): void {
    const counts = this.#of(event.source);
    counts.worker = event.worker ?? counts.worker;
    counts.events++;
    counts.latestAt = event.at;
    if (event.lagMs !== undefined) counts.lagMs = event.lagMs;
    if (event.type === "block-stored") counts.storedBlocks += event.blocks.length;
    else if (event.type === "block-removed") counts.removedBlocks += event.blocks.length;
    else if (event.type === "cache-cleared") counts.clearings++;
    else {
      counts.gaps[event.reason]++;
      counts.missed += event.missed ?? 0;
      counts.gapAt = event.at;
    }
    this.#resident.observe(event);
  }

  #of(source: string): Counts {
    let counts = this.#counts.get(source);
    if (counts) this.#counts.delete(source);
    else {
      const [silent] = this.#counts.keys();
      if (this.#counts.size >= MAX_CACHES && silent !== undefined) {
        this.#counts.delete(silent);
        this.#resident.forget(silent);
      }
      counts = {
        worker: undefined,
        events: 0,
        storedBlocks: 0,
        removedBlocks: 0,
        clearings: 0,
        gaps: { lost: 0, restart: 0, unreadable: 0 },
        missed: 0,
        latestAt: 0,
        lagMs: undefined,
        gapAt: undefined,
      };
    }
    this.#counts.set(source, counts);
    return counts;
  }
}
