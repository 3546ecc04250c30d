import type { RunId, SessionId, Status } from "../runtime/event.ts";

/** Something that was started in a run and has to be ended, at the latest with the run. */
export interface Open {
  end(status: Status): void;
}

/** What the caller says about a run, in `configurable` or `metadata` of its config: out of reach of any model. */
export interface RunContext {
  /** `tenant`: on whose behalf it runs. */
  readonly tenant?: string;
  /** `priority`, in [0, 1]; higher goes first. */
  readonly priority?: number;
  /** `deadline_ms`: milliseconds from its start after which an answer is worth nothing. */
  readonly deadlineMs?: number;
}

/** One invocation of a graph. */
export interface Run {
  readonly id: RunId;
  readonly session: SessionId | undefined;
  readonly graph: string | undefined;
  context: RunContext;
  /** Whether `configurable` has been looked at, which callbacks do not get to see. */
  isConfigured: boolean;
  /** Clock time of its start. */
  readonly startedAt: number;
  readonly open: Set<Open>;
  /** Spans started so far. */
  spans: number;
  interrupted: boolean;
  ended: boolean;
}
