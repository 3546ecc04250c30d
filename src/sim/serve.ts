import { BatchingServer, type Job } from "./batching-server.ts";
import type { CostModel } from "./cost-model.ts";
import type { Outcome } from "./replay.ts";
import type { Schedule } from "./schedule.ts";
import type { RecordedCall } from "./workload.ts";

/** What users of the modelled engine would have seen. */
export interface ServiceTimes {
  /** Milliseconds from each call's arrival to its first token. */
  readonly ttftMs: Float64Array;
  readonly callsPerSecond: number;
  /** Prompt tokens computed. */
  readonly prefillTokens: number;
  /** Milliseconds in which the server computed. */
  readonly busyMs: number;
}

/**
 * Lets one continuously batching server work off a replayed schedule, calls joining in its order. A call arrives when the
 * calls of its run that it followed have been answered (a run's first call: when the run was opened), or at its recorded
 * time where that is later; a replay without times is thus a closed loop of its open runs without think time. Tokens are
 * counted in whole blocks, as the cache holds them.
 *
 * @param capacity blocks of the cache, which bounds what can be computed at once.
 */
export function serve(
  schedule: Schedule,
  { hitsByCall }: Pick<Outcome, "hitsByCall">,
  cost: CostModel,
  capacity = Number.POSITIVE_INFINITY,
): ServiceTimes {
  const { calls, workload, concurrency, isTimed } = schedule;
  const server = new BatchingServer(cost, capacity);
  const arrivals = new Float64Array(calls.length);
  const jobs: Job[] = [];
  const progress: RunProgress[] = [];
  let opened = concurrency;
  for (const [index, { call, run, at, isLast }] of calls.entries()) {
    const ofRun = (progress[run] ??= new RunProgress(isTimed ? at : 0));
    while (!ofRun.isReady(at)) server.step(Number.POSITIVE_INFINITY);
    const arrival = Math.max(isTimed ? at : 0, ofRun.readyAt(at));
    const job = jobOf(call, {
      arrival,
      hits: hitsByCall[index] ?? 0,
      blockTokens: workload.blockTokens,
      cost,
    });
    server.admit(job);
    arrivals[index] = arrival;
    jobs.push(job);
    ofRun.sent(at + (isTimed ? (call.durationMs ?? 0) : 0), job);
    // The schedule opens the next run where one ends.
    if (isLast) progress[opened++] = new RunProgress(Number.NEGATIVE_INFINITY, job);
  }
  return finish(server, arrivals, jobs);
}

/**
 * Lets the server answer what it has, and sums up.
 *
 * @param arrivals milliseconds at which each call was sent, in the schedule's order.
 * @param jobs the same calls' requests, in the same order.
 */
export function finish(server: BatchingServer, arrivals: Float64Array, jobs: readonly Job[]): ServiceTimes {
  while (server.isBusy) server.step(Number.POSITIVE_INFINITY);
  const begun = arrivals.reduce((least, arrival) => Math.min(least, arrival), Number.POSITIVE_INFINITY);
  const seconds = (server.now - begun) / 1000;
  return {
    ttftMs: arrivals.map((arrival, index) => (jobs[index]?.firstTokenAt ?? arrival) - arrival),
    prefillTokens: jobs.reduce((sum, { promptTokens, cachedTokens }) => sum + promptTokens - cachedTokens, 0),
    busyMs: server.busyMs,
    callsPerSecond: seconds > 0 ? arrivals.length / seconds : 0,
  };
}

/** The request that a call is to the server. */
export function jobOf(
  { blocks, outputTokens }: RecordedCall,
  given: {
    readonly arrival: number;
    readonly hits: number;
    readonly blockTokens: number;
    readonly cost: CostModel;
  },
): Job {
  const { arrival, hits, blockTokens, cost } = given;
  const promptTokens = blocks.length * blockTokens;
  return {
    queuedAt: arrival + cost.overheadMs + cost.promptTokenMs * promptTokens,
    blocks,
    promptTokens,
    cachedTokens: hits * blockTokens,
    answerTokens: Math.max(1, Math.round(outputTokens)),
    position: hits * blockTokens,
  };
}

/** Which of a run's calls a call has to wait for: those that had ended, as recorded, when it began. */
class RunProgress {
  #ready: number;
  #underWay: { readonly recordedEnd: number; readonly job: Job }[] = [];

  /** @param opener the call with which the run before ended, when this one was opened at its answer. */
  constructor(openedAt: number, opener?: Job) {
    this.#ready = openedAt;
    if (opener) this.sent(Number.NEGATIVE_INFINITY, opener);
  }

  /** Whether all that a call which began at `at` as recorded had followed is answered. */
  isReady(at: number): boolean {
    return this.#underWay.every(({ recordedEnd, job }) => recordedEnd > at || job.answeredAt !== undefined);
  }

  /** When such a call can be sent. */
  readyAt(at: number): number {
    for (const { recordedEnd, job } of this.#underWay)
      if (recordedEnd <= at) this.#ready = Math.max(this.#ready, job.answeredAt ?? this.#ready);
    this.#underWay = this.#underWay.filter(({ recordedEnd }) => recordedEnd > at);
    return this.#ready;
  }

  sent(recordedEnd: number, job: Job): void {
    this.#underWay.push({ recordedEnd, job });
  }
}
