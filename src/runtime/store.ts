/** Learned counts by name. What two processes counted adds up name by name. */
export type Counts = ReadonlyMap<string, number>;

/** Whose counts: nothing is ever shared between two tenants, or between two workloads of one. */
export interface Namespace {
  readonly tenant: string;
  readonly workload: string;
}

/** Counts to add, once however often they are sent. */
export interface Batch {
  /** Unique to one process's connection to the store. */
  readonly writer: string;
  /** Counts a writer's batches from 1; it sends the next one only when this one has arrived. */
  readonly sequence: number;
  readonly counts: Counts;
}

/** What a store holds. */
export interface StoredCounts {
  /** Another one than before when anything was added since. */
  readonly version: string;
  /** Another one than before when counts may have become less since: they were reset, or aged. */
  readonly epoch: string;
  readonly counts: Counts;
}

/**
 * Where learned counts live: over restarts, and for several processes at once.
 *
 * Every method may reject, with whatever error; the caller contains it and tries again later.
 */
export interface Store {
  readonly name: string;
  readonly namespace: Namespace;
  /** Adds a batch to the totals, all of it or nothing; one that has arrived already changes nothing. */
  add(batch: Batch): Promise<void>;
  /** All totals; undefined when they are still those of this version. */
  load(version?: string): Promise<StoredCounts | undefined>;
  /** Forgets all of the namespace: totals, which batches have arrived, and what was put. */
  reset(): Promise<void>;
  /**
   * Keeps a text under a name in place of the one before: what does not add up, and of which the latest stands. Names are of
   * small letters and dashes. Left out, as `get` is, where counts are all that is kept.
   */
  put?(name: string, text: string): Promise<void>;
  /** What was put last; undefined when nothing was. */
  get?(name: string): Promise<string | undefined>;
  /**
   * Takes an id for some time: true for one process, false for all others until then. Left out where processes do not
   * meet.
   */
  lease?(id: string, milliseconds: number): Promise<boolean>;
  /** Idempotent. */
  close(): Promise<void>;
}
