/** Block hashes are opaque: decimal or hexadecimal text, unique within one engine's model. */
export type BlockHash = string;

interface CacheEventBase {
  /** Milliseconds on the runtime's clock, when it was read. */
  readonly at: number;
  /** Which cache it is: the address of the event stream, and the data-parallel rank where there are several. */
  readonly source: string;
  /** Milliseconds from when the engine published it until it was read, by both machines' clocks; absent where it has no time. */
  readonly lagMs?: number;
  /** Base URL of the server whose cache it is, where an adapter stands for several. */
  readonly worker?: string;
}

/** Blocks are in a cache now; the first one follows `parent`, each next one the one before it. */
export interface BlockStoredEvent extends CacheEventBase {
  readonly type: "block-stored";
  readonly blocks: readonly BlockHash[];
  /** Absent for the first block of a prompt. */
  readonly parent?: BlockHash;
  /** Token ids of all blocks, one after the other. */
  readonly tokens: readonly number[];
  /** Tokens of one block. */
  readonly blockTokens: number;
  /** Such as `GPU` or `CPU`; absent where the engine does not say. */
  readonly medium?: string;
  readonly session?: string;
}
/** Blocks have left a medium of a cache. */
export interface BlockRemovedEvent extends CacheEventBase {
  readonly type: "block-removed";
  readonly blocks: readonly BlockHash[];
  readonly medium?: string;
}
/** Nothing is in this cache any more. */
export interface CacheClearedEvent extends CacheEventBase {
  readonly type: "cache-cleared";
}
/** Events are missing: what was known of this cache may not hold any more. */
export interface GapEvent extends CacheEventBase {
  readonly type: "gap";
  /**
   * `lost`: sequence numbers are missing, also those from before anyone listened. `restart`: the engine began anew. `unreadable`:
   * a batch could not be decoded.
   */
  readonly reason: "lost" | "restart" | "unreadable";
  /** Batches that are missing for good, where that is known. */
  readonly missed?: number;
}

/** What an engine tells of its cache. */
export type CacheEvent = BlockStoredEvent | BlockRemovedEvent | CacheClearedEvent | GapEvent;
