import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { InvalidOptionsError } from "../errors.ts";
import { shuffled } from "./shuffled.ts";
import type { RecordedCall, RecordedRun, Workload } from "./workload.ts";

/** One call in the order in which the engine gets them. */
export interface ScheduledCall {
  readonly call: RecordedCall;
  /** Which opening of which run: the index in the order in which runs were opened. */
  readonly run: number;
  readonly recorded: RecordedRun;
  /** Milliseconds; without recorded times the call's number, so that a step takes one unit. */
  readonly at: number;
  /** The run's last call; only oracles may look. */
  readonly isLast: boolean;
}

/** A workload in the order of its calls, with at most `concurrency` runs open at once. */
export interface Schedule {
  readonly workload: Workload;
  readonly concurrency: number;
  readonly seed: number;
  readonly isTimed: boolean;
  readonly calls: readonly ScheduledCall[];
  /** Distinct blocks ever used by the open runs, averaged over time. */
  readonly workingSet: number;
}

export interface ScheduleOptions {
  readonly concurrency: number;
  readonly seed: number;
  /**
   * own: calls come at the recorded times, a waiting run is opened when one ends. random: the next call is that of an open run
   * chosen by chance. auto (default): own where the trace has times.
   */
  readonly order?: "auto" | "own" | "random";
  /** Stops after this many block touches; default: the whole workload. */
  readonly maxTouches?: number;
}

/** Calls between two looks at the working set; where there are fewer calls, it is looked at after each. */
const SAMPLE_EVERY = 50;

interface OpenRun {
  readonly index: number;
  readonly recorded: RecordedRun;
  readonly openedAt: number;
  next: number;
  /** When the last of its calls so far ends. */
  busyUntil: number;
}

/**
 * Puts the runs of a workload in a seeded order and interleaves their calls. Throws InvalidOptionsError when these are to come
 * at their own times and have none.
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
    ? runs.toSorted((a, b) => (a.startMs ?? 0) - (b.startMs ?? 0))
    : shuffled(runs, (below) => uniformInt(random, 0, below - 1));
  const open: OpenRun[] = [];
  const calls: ScheduledCall[] = [];
  const sampler = new WorkingSet(workload.blockCount);
  let opened = 0;
  let touches = 0;
  const openNext = (at: number) => {
    const recorded = queue[opened];
    if (recorded) open.push({ index: opened++, recorded, openedAt: at, next: 0, busyUntil: at });
  };
  // Runs that all began together would stay in step: each is opened within the time that it takes, and is in its middle when
  // the replay begins. Where no others wait, what came before would be lost for no run that comes after: it is opened later.
  const sign = queue.length > concurrency ? -1 : 1;
  for (let i = 0; i < concurrency; i++)
    openNext(isTimed && !isStream ? sign * lengthOf(queue[i]) * uniformFloat64(random) : 0);
  if (isTimed && !isStream) for (const run of open) while (dueAt(run) < 0 && !isAtLast(run)) run.next++;
  while (open.length > 0 && touches < maxTouches) {
    const slot = isTimed ? earliest(open, isStream) : uniformInt(random, 0, open.length - 1);
    const run = open[slot] as OpenRun;
    const call = run.recorded.calls[run.next] as RecordedCall;
    const at = timeOf(run, isTimed, isStream, calls.length);
    const isLast = isAtLast(run);
    calls.push({ call, run: run.index, recorded: run.recorded, at, isLast });
    touches += call.blocks.length;
    sampler.used(run.index, call.blocks);
    run.next++;
    run.busyUntil = Math.max(run.busyUntil, at + (call.durationMs ?? 0));
    if (calls.length === SAMPLE_EVERY) sampler.restart();
    if (calls.length < SAMPLE_EVERY || calls.length % SAMPLE_EVERY === 0) sampler.sample();
    if (!isLast) continue;
    open.splice(slot, 1);
    sampler.ended(run.index);
    openNext(run.busyUntil);
  }
  return { workload, concurrency, seed, isTimed, calls, workingSet: sampler.mean };
}

function timeOf(run: OpenRun, isTimed: boolean, isStream: boolean, number: number): number {
  if (!isTimed) return number;
  return isStream ? (run.recorded.startMs ?? 0) : dueAt(run);
}

/** Milliseconds from its first call to its last. */
function lengthOf(run: RecordedRun | undefined): number {
  return run?.calls.at(-1)?.startMs ?? 0;
}

function dueAt({ openedAt, recorded, next }: OpenRun): number {
  return openedAt + (recorded.calls[next]?.startMs ?? 0);
}

function isAtLast({ recorded, next }: OpenRun): boolean {
  return next === recorded.calls.length - 1;
}

function earliest(open: readonly OpenRun[], isStream: boolean): number {
  if (isStream) return 0;
  let best = 0;
  for (let i = 1; i < open.length; i++)
    if (dueAt(open[i] as OpenRun) < dueAt(open[best] as OpenRun)) best = i;
  return best;
}

/** Distinct blocks ever used by the runs that are open, averaged over samples. */
class WorkingSet {
  readonly #blocks = new Map<number, Set<number>>();
  /** By block, how many open runs have used it. */
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

  used(run: number, blocks: Int32Array): void {
    let own = this.#blocks.get(run);
    if (!own) this.#blocks.set(run, (own = new Set()));
    for (const block of blocks) {
      if (own.has(block)) continue;
      own.add(block);
      const others = this.#users[block] as number;
      this.#users[block] = others + 1;
      if (others === 0) this.#size++;
    }
  }

  ended(run: number): void {
    for (const block of this.#blocks.get(run) ?? []) {
      const others = (this.#users[block] as number) - 1;
      this.#users[block] = others;
      if (others === 0) this.#size--;
    }
    this.#blocks.delete(run);
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
