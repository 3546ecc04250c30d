import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { InvalidOptionsError } from "../errors.ts";
import { shuffled } from "../sim/shuffled.ts";
import { threadsOf } from "../sim/threads.ts";
import type { RecordedCall, RecordedRun, Workload } from "../sim/workload.ts";

export interface PlanOptions {
  /** Runs open at once. */
  readonly concurrency: number;
  readonly seed: number;
  /** Most calls played, over all runs; undefined: all. */
  readonly calls?: number | undefined;
  /** Tokens of a block as it is played; undefined: as recorded, halved until the longest prompt fits. */
  readonly blockTokens?: number | undefined;
  /** Most tokens of a prompt. */
  readonly longestPrompt: number;
}

/** What is played of a workload, the same in every arm. */
export interface Plan {
  /** Parts of the recorded runs, in the order in which they are opened; the runs of a thread are one. */
  readonly workload: Workload;
  /** Calls that end a run. */
  readonly runEnds: ReadonlySet<RecordedCall>;
  /** Tokens of a block as it is played. */
  readonly blockTokens: number;
  /** What a reader of the figures has to know. */
  readonly notes: readonly string[];
}

/** Two control tokens and two words: below that, blocks could not be told apart. */
const LEAST_BLOCK = 4;

/**
 * Chooses the calls to play. Runs are taken in a seeded order. Those that are open at the start begin somewhere in their
 * middle, so that a short play sees runs end and others begin, as a long one would; open runs then take turns until the
 * calls are given out. A run ends before its first call whose prompt is too long.
 */
export function planTrace(workload: Workload, options: PlanOptions): Plan {
  const { concurrency, seed, calls = Number.POSITIVE_INFINITY, longestPrompt } = options;
  const random = xoroshiro128plus(seed);
  const below = (limit: number) => uniformInt(random, 0, limit - 1);
  const { whole, runEnds } = joinThreads(
    workload.runs.flatMap((run) => {
      const played = run.calls.filter(({ blocks }) => blocks.length > 0);
      return played.length > 0 ? { ...run, calls: played } : [];
    }),
  );
  if (whole.length === 0)
    throw new InvalidOptionsError("bench", `no call of ${workload.name} has a prompt in blocks`, {
      hint: "Record one with `cachesage record`, or see `cachesage inspect` for what the trace holds.",
    });
  const queue = shuffled(whole, below).map((run, index) =>
    index < concurrency && calls < callsOf(whole)
      ? { ...run, calls: run.calls.slice(below(run.calls.length)) }
      : run,
  );
  const chosen = takeTurns(queue, concurrency, calls);
  const blockTokens = options.blockTokens ?? fitting(chosen, workload.blockTokens, longestPrompt);
  const runs = chosen.flatMap((run) => {
    const tooLong = run.calls.findIndex(({ blocks }) => blocks.length * blockTokens > longestPrompt);
    const cut = tooLong < 0 ? run.calls : run.calls.slice(0, tooLong);
    return cut.length > 0 ? { ...run, calls: cut } : [];
  });
  if (runs.length === 0)
    throw new InvalidOptionsError(
      "bench",
      `no call of ${workload.name} has a prompt of at most ${longestPrompt} tokens in blocks of ${blockTokens}`,
      { hint: "Raise --longest-prompt, or lower --block-tokens." },
    );
  const lost = callsOf(chosen) - callsOf(runs);
  const notes = [
    `${callsOf(runs)} of the ${callsOf(workload.runs)} calls of ${workload.name} (seed ${seed}), in ${runs.length} parts of runs.`,
    ...(blockTokens === workload.blockTokens
      ? []
      : [
          `Prompts are scaled: a block of ${workload.blockTokens} tokens is played with ${blockTokens} (seed ${seed}).`,
        ]),
    ...(lost > 0
      ? [`${lost} calls left out since a prompt is longer than ${longestPrompt} tokens (seed ${seed}).`]
      : []),
  ];
  return { workload: { ...workload, runs }, runEnds, blockTokens, notes };
}

/** The runs of a thread as one; their calls' times are from the start of the first. */
function joinThreads(runs: readonly RecordedRun[]) {
  const runEnds = new Set<RecordedCall>();
  const whole = threadsOf(runs).flatMap(({ calls: [first, ...others] }): RecordedRun[] => {
    if (!first) return [];
    const calls = [first, ...others].map(({ call, dueMs, isLast }) => {
      const own = call.startMs === undefined ? call : { ...call, startMs: dueMs };
      if (isLast) runEnds.add(own);
      return own;
    });
    return [{ ...first.recorded, calls }];
  });
  return { whole, runEnds };
}

/** How many calls of each run are played when open runs take turns; runs that get none are left out. */
function takeTurns(
  queue: readonly RecordedRun[],
  concurrency: number,
  calls: number,
): readonly RecordedRun[] {
  const counts = queue.map(() => 0);
  const open = queue.slice(0, concurrency).map((_, index) => index);
  let opened = open.length;
  let left = calls;
  while (open.length > 0 && left > 0)
    for (const [slot, run] of Array.from(open.entries()).toReversed()) {
      if (left-- <= 0) break;
      const count = ((counts[run] as number) += 1);
      if (count < (queue[run]?.calls.length ?? 0)) continue;
      if (opened < queue.length) open[slot] = opened++;
      else open.splice(slot, 1);
    }
  return queue.flatMap((run, index) => {
    const count = counts[index] ?? 0;
    return count > 0 ? { ...run, calls: run.calls.slice(0, count) } : [];
  });
}

/** The recorded size, halved until every prompt fits or blocks could not be told apart. */
function fitting(runs: readonly RecordedRun[], recorded: number, longest: number): number {
  const blocks = Math.max(...runs.flatMap(({ calls }) => calls.map((call) => call.blocks.length)));
  let size = recorded;
  while (size * blocks > longest && size / 2 >= LEAST_BLOCK) size = Math.floor(size / 2);
  return Math.max(size, LEAST_BLOCK);
}

function callsOf(runs: readonly { readonly calls: readonly RecordedCall[] }[]): number {
  return runs.reduce((sum, { calls }) => sum + calls.length, 0);
}
