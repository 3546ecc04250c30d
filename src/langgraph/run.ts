import type { RunId, SessionId, Status } from "../runtime/event.ts";

/** Something that was started in a run and has to be ended, at the latest with the run. */
export interface Open {
  end(status: Status): void;
}

/** One invocation of a graph. */
export interface Run {
  readonly id: RunId;
  readonly session: SessionId | undefined;
  readonly graph: string | undefined;
  readonly open: Set<Open>;
  /** Spans started so far. */
  spans: number;
  interrupted: boolean;
  ended: boolean;
}
