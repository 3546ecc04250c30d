import type { AgentId, Status } from "../runtime/event.ts";
import type { Schedule, ScheduledCall } from "./schedule.ts";

/** What a policy may know of a request when it arrives. */
export interface Arrival {
  /** Number of the request, counted from 0. */
  readonly index: number;
  readonly run: number;
  readonly session: string | undefined;
  readonly agent: AgentId;
  readonly blocks: Int32Array;
  readonly anchorBlocks: number;
  readonly step: number | undefined;
  readonly namespace: string | undefined;
  /** Milliseconds, or the request's number where no times were recorded. */
  readonly at: number;
}

/** What becomes known when a request is answered. */
export interface Completion {
  readonly run: number;
  readonly agent: AgentId;
  readonly at: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly callsTools: boolean | undefined;
}

/** Decides what a full block cache lets go of. The judge holds the cache; a policy only names victims. */
export interface CachePolicy {
  /** A request arrived; its blocks are resident from now on. */
  request(arrival: Arrival): void;
  /**
   * A resident block to evict. Blocks of the prompt that was just inserted may be named as well.
   *
   * @param needed how many have to go before the next request, this one included.
   */
  victim(needed: number): number;
  /**
   * Blocks to compute before anyone asks for them, none of them resident; from then on they are. Asked after each request, when
   * its evictions are done.
   *
   * @param most blocks that the engine has the time to compute before the next request.
   * @param free blocks that the cache has room for without an eviction.
   */
  prefetch?(most: number, free: number): readonly number[];
  completed?(completion: Completion): void;
  /** The run has ended. Comes after the evictions that its last request caused. @param status completed where none was recorded. */
  ended?(run: number, status: Status): void;
  /** Checks what must hold at the end of a replay. Throws when it does not. */
  finished?(): void;
}

/** What a policy gets to work with. */
export interface CacheContext {
  /** Blocks that the cache holds. */
  readonly capacity: number;
  readonly blockTokens: number;
  /** Block ids are below this. */
  readonly blockCount: number;
  readonly isResident: (block: number) => boolean;
  /** Time as the schedule has it: milliseconds, or one unit per request. */
  readonly isTimed: boolean;
  readonly seed: number;
  /** All that is to come. For oracles: a policy that reads it is none that could be built. */
  readonly future: readonly ScheduledCall[];
  readonly schedule: Schedule;
}

/** A policy of the replay as a file in `baselines/` declares it, as its default export. */
export interface Baseline {
  readonly name: string;
  readonly description: string;
  /** Where the rule comes from. */
  readonly source: string;
  /** Blocks are never evicted. */
  readonly isUnbounded?: boolean;
  create(context: CacheContext): CachePolicy;
}
