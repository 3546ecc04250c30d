import type { RunId, SessionId, Status } from "../runtime/event.ts";

/** Things open in one run at once: streams that are left half-way never tell their end. */
const MAX_OPEN = 10_000;

/** Something that was started in a run and has to be ended, at the latest with the run. */
export interface Open {
  /** Nothing else is known by it, so that it may be given up when its end is never told. */
  readonly mayBeLost: boolean;
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

/** What is known of a run when it begins. */
export interface RunStart {
  readonly id: RunId;
  readonly session: SessionId | undefined;
  readonly graph: string | undefined;
  readonly context: RunContext | undefined;
  /** What callbacks tell of it. */
  readonly seen: "all" | "start" | "nothing";
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

/** Adds what was started in a run; of too much, the oldest that may be lost is over. */
export function addOpen({ open }: Run, started: Open): void {
  open.add(started);
  if (open.size <= MAX_OPEN) return;
  for (const oldest of open) if (oldest.mayBeLost) return oldest.end("cancelled");
}
