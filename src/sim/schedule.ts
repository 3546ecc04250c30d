import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { InvalidOptionsError } from "../errors.ts";
import { shuffled } from "./shuffled.ts";
import { byStart, type Thread, type ThreadCall, threadsOf } from "./threads.ts";
import type { RecordedCall, RecordedRun, Workload } from "./workload.ts";

/** One call in the order in which the engine gets them. */
export interface ScheduledCall {
  readonly call: RecordedCall;
  /** Which opening of which run: the index in the order in which runs were opened. */
  readonly run: number;
  /** The same of threads; a run on no thread is one of its own. */
  readonly thread: number;
  readonly recorded: RecordedRun;
  /** Milliseconds; without recorded times the call's number, so that a step takes one unit. */
  readonly at: number;
  /** The run's last call; only oracles may look. */
  readonly isLast: boolean;
}

/** A workload in the order of its calls, with at most `concurrency` threads open at once; most have one run. */
export interface Schedule {
  readonly workload: Workload;
  readonly concurrency: number;
  readonly seed: number;
  readonly isTimed: boolean;
  readonly calls: readonly ScheduledCall[];
  /** Distinct blocks ever used by the open threads, averaged over time. */
  readonly workingSet: number;
}

export interface ScheduleOptions {
  readonly concurrency: number;
  readonly seed: number;
  /**
   * own: calls come at the recorded times, a waiting thread is opened when one ends. random: the next call is that of an open
   * thread chosen by chance. auto (default): own where the trace has times.
   */
  readonly order?: "auto" | "own" | "random";
  /** Stops after this many block touches; default: the whole workload. */
  readonly maxTouches?: number;
}

/** Calls between two looks at the working set; where there are fewer calls, it is looked at after each. */
const SAMPLE_EVERY = 50;

interface OpenThread extends Pick<Thread, "calls"> {
  readonly index: number;
  readonly openedAt: number;
  /** Index of the run that is open. */
  run: number;
  next: number;
  /** When the last of its calls so far ends. */
  busyUntil: number;
}

/**
 * Puts the threads of a workload in a seeded order and interleaves their calls; the runs of a thread follow each other, as far
 * apart as they were. Throws InvalidOptionsError when calls are to come at their own times and have none.
 */
export function schedule(workload: Workload, options: ScheduleOptions): Schedule {
  const { concurrency, seed, order = "auto", maxTouches = Number.POSITIVE_INFINITY } = options;
  const runs = workload.runs.filter(({ calls }) => calls.length > 0);
  const hasTimes = runs.every(({ calls }) => calls.every(({ startMs }) => startMs !== undefined));
  if (order === "own" && !hasTimes)
    throw new InvalidOptionsError(
      "simulate",
      `--order: own, but not all calls of ${workload.name} have times`,
      {
        hint: "Leave it out, and runs are interleaved at random.",
      },
    );
  const isTimed = order === "own" || (order === "auto" && hasTimes);
  // Single calls at recorded times have an order of their own: there is nothing to interleave.
  const isStream = isTimed && runs.every(({ calls, startMs }) => calls.length === 1 && startMs !== undefined);
  const random = xoroshiro128plus(seed);
  const queue = isStream
    ? runs.toSorted(byStart).flatMap((run) => threadsOf([run]))
    : shuffled(threadsOf(runs), (below) => uniformInt(random, 0, below - 1));
  const open: OpenThread[] = [];
  const scheduled: ScheduledCall[] = [];
  const sampler = new WorkingSet(workload.blockCount);
  let [opened, openedRuns, touches] = [0, 0, 0];
  const openNext = (at: number) => {
    const thread = queue[opened];
    if (!thread) return;
    const { calls } = thread;
    open.push({ calls, index: opened++, run: openedRuns++, openedAt: at, next: 0, busyUntil: at });
  };
  // Threads that all began together would stay in step: each is opened within the time that it takes, and is in its middle
  // when the replay begins. Where no others wait, what came before would be lost for none that comes after: it is opened later.
  const sign = queue.length > concurrency ? -1 : 1;
  for (let i = 0; i < concurrency; i++)
    openNext(isTimed && !isStream ? sign * lengthOf(queue[i]) * uniformFloat64(random) : 0);
  if (isTimed && !isStream)
    for (const thread of open) while (dueAt(thread) < 0 && !isAtEnd(thread)) thread.next++;
  while (open.length > 0 && touches < maxTouches) {
    const slot = isTimed ? earliest(open, isStream) : uniformInt(random, 0, open.length - 1);
    const thread = open[slot] as OpenThread;
    const { call, recorded, isLast } = thread.calls[thread.next] as ThreadCall;
    const at = timeOf(thread, isTimed, isStream, scheduled.length);
    scheduled.push({ call, run: thread.run, thread: thread.index, recorded, at, isLast });
    touches += call.blocks.length;
    sampler.used(thread.index, call.blocks);
    thread.busyUntil = Math.max(thread.busyUntil, at + (call.durationMs ?? 0));
    if (scheduled.length === SAMPLE_EVERY) sampler.restart();
    if (scheduled.length < SAMPLE_EVERY || scheduled.length % SAMPLE_EVERY === 0) sampler.sample();
    if (!isAtEnd(thread)) {
      thread.next++;
      if (isLast) thread.run = openedRuns++;
      continue;
    }
    open.splice(slot, 1);
    sampler.ended(thread.index);
    openNext(thread.busyUntil);
  }
  return { workload, concurrency, seed, isTimed, calls: scheduled, workingSet: sampler.mean };
}

/** Milliseconds from its first call to its last. */
function lengthOf(thread: Thread | undefined): number {
  return thread?.calls.at(-1)?.dueMs ?? 0;
}

function timeOf(thread: OpenThread, isTimed: boolean, isStream: boolean, number: number): number {
  if (!isTimed) return number;
  return isStream ? (thread.calls[0]?.recorded.startMs ?? 0) : dueAt(thread);
}

function dueAt({ openedAt, calls, next }: OpenThread): number {
  return openedAt + (calls[next]?.dueMs ?? 0);
}

function isAtEnd({ calls, next }: OpenThread): boolean {
  return next === calls.length - 1;
}

function earliest(open: readonly OpenThread[], isStream: boolean): number {
  if (isStream) return 0;
  let best = 0;
  for (let i = 1; i < open.length; i++)
    if (dueAt(open[i] as OpenThread) < dueAt(open[best] as OpenThread)) best = i;
  return best;
}

/** Distinct blocks ever used by the threads that are open, averaged over samples. */
class WorkingSet {
  readonly #blocks = new Map<number, Set<number>>();
  /** By block, how many open threads have used it. */
  readonly #users: Int32Array;
  #size = 0;
  #samples = 0;
  #sum = 0;

  constructor(blockCount: number) {
    this.#users = new Int32Array(blockCount);
  }

  get mean(): number {
    return this.#sum / Math.max(1, this.#samples);
  }

  used(thread: number, blocks: Int32Array): void {
    let own = this.#blocks.get(thread);
    if (!own) this.#blocks.set(thread, (own = new Set()));
    for (const block of blocks) {
      if (own.has(block)) continue;
      own.add(block);
      const others = this.#users[block] as number;
      this.#users[block] = others + 1;
      if (others === 0) this.#size++;
    }
  }

  ended(thread: number): void {
    for (const block of this.#blocks.get(thread) ?? []) {
      const others = (this.#users[block] as number) - 1;
      this.#users[block] = others;
      if (others === 0) this.#size--;
    }
    this.#blocks.delete(thread);
  }

  /** Forgets the samples so far. */
  restart(): void {
    this.#samples = 0;
    this.#sum = 0;
  }

  sample(): void {
    this.#samples++;
    this.#sum += this.#size;
  }
}
