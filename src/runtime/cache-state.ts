import type { GapEvent } from "./cache-event.ts";

/** What one cache holds and how well it is followed, from the KV events of its engine. */
export interface CacheState {
  /** Address of its event stream, and the data-parallel rank where there are several. */
  readonly source: string;
  /** Base URL of its server, where several servers stand behind one connection. */
  readonly worker?: string;
  /** Blocks that are in it, and their tokens; each counts once, in however many media it is. */
  readonly residentBlocks: number;
  readonly residentTokens: number;
  /** Blocks by where they are, such as `GPU` and `CPU`; `unknown` where the engine does not say. */
  readonly media: Readonly<Record<string, number>>;
  /**
   * False: it may hold more than that, since there was a gap, or there are more blocks than are remembered; until it is cleared.
   * What it held before the connection began counts only where the engine can tell it again.
   */
  readonly isComplete: boolean;
  /** Since the connection began. */
  readonly events: number;
  readonly storedBlocks: number;
  readonly removedBlocks: number;
  readonly clearings: number;
  readonly gaps: Readonly<Record<GapEvent["reason"], number>>;
  /** Batches that are missing for good, where that is known. */
  readonly missed: number;
  /** Milliseconds on the connection's clock when the newest event was read. */
  readonly latestAt: number;
  /** Milliseconds from when its batch was published until it was read, by both machines' clocks; absent where it has no time. */
  readonly lagMs?: number;
  /** When the newest gap was read; absent: there was none. */
  readonly gapAt?: number;
}

/** What is known of an engine's caches by its events. */
export interface CacheStates {
  /**
   * unoffered: the adapter has no event streams. unread: nobody has taken an interest in them yet. ended: they broke, the engine
   * has none after all, or the connection was closed.
   */
  readonly stream: "unoffered" | "unread" | "open" | "ended";
  readonly caches: readonly CacheState[];
}
