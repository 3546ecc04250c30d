import { type CostModel, prefillMs } from "./cost-model.ts";
import type { Outcome } from "./replay.ts";
import type { Schedule } from "./schedule.ts";

/** What users of the modelled engine would have seen. */
export interface ServiceTimes {
  /** Milliseconds from each call's arrival to its first token. */
  readonly ttftMs: Float64Array;
  readonly callsPerSecond: number;
  /** Prompt tokens computed. */
  readonly prefillTokens: number;
}

/**
 * Lets one server work off a replayed schedule in its order, never idle while a call waits. A call arrives when the calls of
 * its run that it followed have been answered (a run's first call: when the run was opened), or at its recorded time where
 * that is later; a replay without times is thus a closed loop of its open runs without think time. Tokens are counted in
 * whole blocks, as the cache holds them.
 */
export function serve(schedule: Schedule, { hitsByCall }: Outcome, cost: CostModel): ServiceTimes {
  const { calls, workload, concurrency, isTimed } = schedule;
  const ttftMs = new Float64Array(calls.length);
  const progress: RunProgress[] = [];
  let opened = concurrency;
  let prefillTokens = 0;
  let free = Number.NEGATIVE_INFINITY;
  let begun = Number.POSITIVE_INFINITY;
  for (const [index, { call, run, at, isLast }] of calls.entries()) {
    const ofRun = (progress[run] ??= new RunProgress(isTimed ? at : 0));
    const arrival = Math.max(isTimed ? at : 0, ofRun.readyAt(at));
    const prompt = call.blocks.length * workload.blockTokens;
    const cached = (hitsByCall[index] ?? 0) * workload.blockTokens;
    const firstToken = Math.max(free, arrival) + prefillMs(cost, cached, prompt);
    free = firstToken + cost.answerTokenMs * call.outputTokens;
    ttftMs[index] = firstToken - arrival;
    prefillTokens += prompt - cached;
    begun = Math.min(begun, arrival);
    ofRun.answered(at + (isTimed ? (call.durationMs ?? 0) : 0), free);
    // The schedule opens the next run where one ends.
    if (isLast) progress[opened++] = new RunProgress(free);
  }
  const seconds = (free - begun) / 1000;
  return { ttftMs, prefillTokens, callsPerSecond: seconds > 0 ? calls.length / seconds : 0 };
}

/** Which of a run's calls a call has to wait for: those that had ended, as recorded, when it began. */
class RunProgress {
  #ready: number;
  #underWay: { readonly recordedEnd: number; readonly answeredAt: number }[] = [];

  constructor(openedAt: number) {
    this.#ready = openedAt;
  }

  /** When a call can be sent that began at `at` as recorded. */
  readyAt(at: number): number {
    const overlaps = this.#underWay.filter(({ recordedEnd }) => recordedEnd > at);
    for (const { recordedEnd, answeredAt } of this.#underWay)
      if (recordedEnd <= at) this.#ready = Math.max(this.#ready, answeredAt);
    this.#underWay = overlaps;
    return this.#ready;
  }

  answered(recordedEnd: number, answeredAt: number): void {
    this.#underWay.push({ recordedEnd, answeredAt });
  }
}
