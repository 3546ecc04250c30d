import { BatchingServer, type Job } from "./batching-server.ts";
import type { CostModel } from "./cost-model.ts";
import type { Outcome } from "./replay.ts";
import type { Schedule, ScheduledCall } from "./schedule.ts";
import { finish, jobOf, type ServiceTimes } from "./serve.ts";

/** A run whose calls are being served, one after the other. */
interface OpenRun {
  readonly calls: readonly (readonly [index: number, scheduled: ScheduledCall])[];
  next: number;
  /** Its latest call, at first that of the run which made room for it. */
  latest: Job | undefined;
}

/**
 * Lets one continuously batching server work off the runs of a replayed schedule as their users would have sent them: a call
 * comes its gap after the answer before it, and is served when its turn has come, whenever the schedule had it. A slow
 * server thus gets its calls later, as a real one does.
 *
 * @param gapsMs milliseconds before each call; before a run's first call, from the end of the run that made room for it.
 * @param capacity blocks of the cache, which bounds what can be computed at once.
 */
export function serveClosedLoop(
  { calls, workload, concurrency }: Schedule,
  { hitsByCall, gapsMs }: Pick<Outcome, "hitsByCall"> & { readonly gapsMs: Float64Array },
  cost: CostModel,
  capacity = Number.POSITIVE_INFINITY,
): ServiceTimes {
  const server = new BatchingServer(cost, capacity);
  const waiting = runsOf(calls);
  const open: OpenRun[] = [];
  const openNext = (opener?: Job) => {
    const next = waiting.shift();
    if (next) open.push({ calls: next, next: 0, latest: opener });
  };
  for (let i = 0; i < concurrency; i++) openNext();
  const arrivals = new Float64Array(calls.length);
  const jobs: Job[] = [];
  while (open.length > 0) {
    const [run, arrival] = earliest(open, gapsMs);
    const head = run?.calls[run.next];
    const job =
      head &&
      jobOf(head[1].call, {
        arrival,
        hits: hitsByCall[head[0]] ?? 0,
        blockTokens: workload.blockTokens,
        cost,
      });
    // While the server works, an answer may let another call come first.
    if (server.isBusy && (!job || job.queuedAt > server.now)) {
      server.step(job?.queuedAt ?? Number.POSITIVE_INFINITY);
      continue;
    }
    if (!run || !head || !job) throw new Error("no call can come, and none is being served");
    const [index] = head;
    server.admit(job);
    arrivals[index] = arrival;
    jobs[index] = job;
    run.latest = job;
    run.next++;
    if (run.next < run.calls.length) continue;
    open.splice(open.indexOf(run), 1);
    openNext(job);
  }
  return finish(server, arrivals, jobs);
}

/** The run whose next call comes first, of those whose calls so far are answered, and when that is. */
function earliest(open: readonly OpenRun[], gapsMs: Float64Array): readonly [OpenRun | undefined, number] {
  let best: OpenRun | undefined;
  let at = Number.POSITIVE_INFINITY;
  for (const run of open) {
    if (run.latest && run.latest.answeredAt === undefined) continue;
    const arrival = (run.latest?.answeredAt ?? 0) + (gapsMs[run.calls[run.next]?.[0] ?? -1] ?? 0);
    if (arrival < at) [best, at] = [run, arrival];
  }
  return [best, at];
}

/** Calls by run, runs in the order of their opening. */
function runsOf(calls: readonly ScheduledCall[]): (readonly [number, ScheduledCall])[][] {
  const runs: (readonly [number, ScheduledCall])[][] = [];
  for (const [index, scheduled] of calls.entries()) (runs[scheduled.run] ??= []).push([index, scheduled]);
  return runs.filter((run) => run !== undefined);
}
