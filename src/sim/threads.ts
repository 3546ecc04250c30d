import type { SessionId } from "../runtime/event.ts";
import type { RecordedCall, RecordedRun } from "./workload.ts";

/** The calls of runs that follow each other. */
export interface Thread {
  /** Milliseconds from the recording's start to the first run's; 0 where that is not known. */
  readonly begunMs: number;
  /** Milliseconds from there to the last end of a call. */
  endedMs: number;
  readonly calls: ThreadCall[];
}

/** One call of a thread. */
export interface ThreadCall {
  readonly call: RecordedCall;
  readonly recorded: RecordedRun;
  /** Milliseconds from the thread's start, where calls have times. */
  readonly dueMs: number;
  /** The last of its run. */
  readonly isLast: boolean;
}

/** In the order of their first runs. Runs of one session that overlap do not follow each other: they are threads of their own. */
export function threadsOf(runs: readonly RecordedRun[]): readonly Thread[] {
  const threads: Thread[] = [];
  const latest = new Map<SessionId, Thread>();
  for (const run of runs.toSorted(byStart)) {
    const earlier = run.session === undefined ? undefined : latest.get(run.session);
    if (earlier && addRun(earlier, run)) continue;
    const thread: Thread = { begunMs: run.startMs ?? 0, endedMs: 0, calls: [] };
    addRun(thread, run);
    threads.push(thread);
    if (run.session !== undefined) latest.set(run.session, thread);
  }
  return threads;
}

/**
 * A run begins as long after the thread's first one as it did, or where that is not known when the one before it has ended.
 * @returns false if it began earlier: then nothing is added.
 */
function addRun(thread: Thread, recorded: RecordedRun): boolean {
  const { startMs = thread.begunMs + thread.endedMs, calls } = recorded;
  const offset = startMs - thread.begunMs;
  if (offset < thread.endedMs) return false;
  for (const [i, call] of calls.entries()) {
    const dueMs = offset + (call.startMs ?? 0);
    thread.endedMs = Math.max(thread.endedMs, dueMs + (call.durationMs ?? 0));
    thread.calls.push({ call, recorded, dueMs, isLast: i === calls.length - 1 });
  }
  return true;
}

/** Runs whose start is not known come first, as they are. */
export function byStart(a: RecordedRun, b: RecordedRun): number {
  return (a.startMs ?? 0) - (b.startMs ?? 0);
}
