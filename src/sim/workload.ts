import type { AgentId, RunId, SessionId, Status } from "../runtime/event.ts";

/** One model call as it was recorded. */
export interface RecordedCall {
  readonly agent: AgentId;
  /** The prompt's cache blocks, in order: ids of the workload; equal ids are equal text after equal beginnings. */
  readonly blocks: Int32Array;
  /** Blocks at the prompt's start that are system message and tools. */
  readonly anchorBlocks: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Milliseconds from the run's start to this call's; present on all calls of a workload or on none. */
  readonly startMs?: number;
  /** Milliseconds that the call took. */
  readonly durationMs?: number;
  /** The answer asks for tools; absent: not known. */
  readonly callsTools?: boolean;
  /** Superstep and namespace, where the recording framework has them. */
  readonly step?: number;
  readonly namespace?: string;
}

/** The calls of one run, in order of their start. */
export interface RecordedRun {
  readonly id: RunId;
  readonly session?: SessionId;
  /** Milliseconds from the recording's start to the run's, where that is known. */
  readonly startMs?: number;
  /** Milliseconds from the run's start to its end, and how it ended; absent: not known, or still open when the recording ended. */
  readonly durationMs?: number;
  readonly status?: Status;
  readonly calls: readonly RecordedCall[];
}

/** A recorded multi-agent workload, ready to be replayed. */
export interface Workload {
  /** File name without folder and extensions. */
  readonly name: string;
  /** Tokens of one cache block. */
  readonly blockTokens: number;
  /** Block ids are below this. */
  readonly blockCount: number;
  readonly runs: readonly RecordedRun[];
}

/** Gives each distinct key a block id, in order of appearance. */
export class BlockIds {
  readonly #ids = new Map<string | number, number>();

  get count(): number {
    return this.#ids.size;
  }

  id(key: string | number): number {
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, (id = this.#ids.size));
    return id;
  }
}
