import * as fc from "fast-check";
import { expect, test } from "vitest";
import { schedule, type Schedule, type ScheduledCall } from "../../src/sim/schedule.ts";
import type { RecordedCall, RecordedRun, Workload } from "../../src/sim/workload.ts";
import { chainedWorkload } from "./random-workload.ts";

const settings = fc.record({
  concurrency: fc.integer({ min: 1, max: 4 }),
  seed: fc.integer({ min: 0, max: 1000 }),
});

/** Calls of one agent. */
const call = (blocks: readonly number[], times: Pick<RecordedCall, "startMs" | "durationMs"> = {}) => ({
  agent: "agent",
  blocks: Int32Array.from(blocks),
  anchorBlocks: 0,
  promptTokens: 16 * blocks.length,
  outputTokens: 1,
  ...times,
});

const workload = (...runs: readonly (readonly RecordedCall[])[]): Workload => ({
  name: "made",
  blockTokens: 16,
  blockCount: 1 + Math.max(...runs.flat().flatMap(({ blocks }) => [...blocks])),
  runs: runs.map((calls, index) => ({ id: String(index), calls })),
});

/** The calls of each run, by its number. */
function byRun({ calls }: Schedule): ReadonlyMap<number, readonly ScheduledCall[]> {
  const runs = new Map<number, ScheduledCall[]>();
  for (const one of calls) runs.set(one.run, [...(runs.get(one.run) ?? []), one]);
  return runs;
}

test("plays every run once, whole and in order", () => {
  fc.assert(
    fc.property(chainedWorkload, settings, (recorded, given) => {
      const runs = byRun(schedule(recorded, { ...given, order: "random" }));
      expect(runs.size).toBe(recorded.runs.length);
      expect(new Set([...runs.values()].map(([first]) => first?.recorded)).size).toBe(runs.size);
      for (const calls of runs.values()) {
        expect(calls.map((one) => one.call)).toEqual(calls[0]?.recorded.calls);
        expect(calls.map(({ isLast }) => isLast)).toEqual(calls.map((_, i) => i === calls.length - 1));
      }
    }),
  );
});

test("has at most as many runs open as told, opened in the order of their numbers", () => {
  fc.assert(
    fc.property(chainedWorkload, settings, fc.constantFrom("auto", "random"), (recorded, given, order) => {
      const { calls } = schedule(recorded, { ...given, order });
      const ends = calls.map(({ run }) => calls.findLastIndex((other) => other.run === run));
      for (const [index, { run }] of calls.entries()) {
        const open = new Set(
          calls.slice(0, index + 1).flatMap((other, i) => ((ends[i] ?? 0) >= index ? [other.run] : [])),
        );
        expect(open.size).toBeLessThanOrEqual(given.concurrency);
        // A run of a number this high is open only once enough others have ended.
        const ended = new Set(ends.filter((end) => end < index));
        expect(run).toBeLessThan(given.concurrency + ended.size);
      }
    }),
  );
});

test("is the same for the same seed, and another for another", () => {
  fc.assert(
    fc.property(chainedWorkload, settings, (recorded, given) => {
      expect(schedule(recorded, given)).toEqual(schedule(recorded, given));
    }),
  );
  const many = workload(...Array.from({ length: 20 }, (_, i) => [call([i]), call([i])]));
  const order = (seed: number) => schedule(many, { concurrency: 4, seed }).calls.map(({ run }) => run);
  expect(order(1)).not.toEqual(order(2));
});

test("keeps recorded times: calls come in their order, as far apart in a run as they were", () => {
  const timed = chainedWorkload.filter(({ runs }) =>
    runs.every(({ calls }) => calls.every(({ startMs }) => startMs !== undefined)),
  );
  fc.assert(
    fc.property(timed, settings, (recorded, given) => {
      const played = schedule(recorded, { ...given, order: "own" });
      const times = played.calls.map(({ at }) => at);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      for (const [run, calls] of byRun(played)) {
        const all = calls[0]?.recorded.calls ?? [];
        // The first runs to be open have begun before the schedule does.
        const skipped = all.length - calls.length;
        expect(run < given.concurrency || skipped === 0).toBe(true);
        expect(calls.map((one) => one.call)).toEqual(all.slice(skipped));
        for (const { call: own, at } of calls)
          expect(at - (calls[0]?.at ?? 0)).toBeCloseTo((own.startMs ?? 0) - (all[skipped]?.startMs ?? 0), 6);
      }
    }),
  );
});

test("without recorded times a call's time is its number", () => {
  const { calls, isTimed } = schedule(workload([call([0]), call([1])], [call([2])]), {
    concurrency: 2,
    seed: 1,
  });
  expect(isTimed).toBe(false);
  expect(calls.map(({ at }) => at)).toEqual([0, 1, 2]);
});

test("calls that are to come at their own times must have some", () => {
  const recorded = workload([call([0], { startMs: 0 }), call([1])]);
  expect(() => schedule(recorded, { concurrency: 1, seed: 1, order: "own" })).toThrow(/--order: own/);
  expect(schedule(recorded, { concurrency: 1, seed: 1 }).isTimed).toBe(false);
});

test("opens a run when all calls of another have ended, not only its last to begin", () => {
  // The first call of a run takes 100 ms, the second begins 10 ms on and takes 5.
  const runs = Array.from({ length: 3 }, (_, i) => [
    call([i], { startMs: 0, durationMs: 100 }),
    call([i], { startMs: 10, durationMs: 5 }),
  ]);
  const played = byRun(schedule(workload(...runs), { concurrency: 1, seed: 1 }));
  expect((played.get(2)?.[0]?.at ?? 0) - (played.get(1)?.[0]?.at ?? 0)).toBeCloseTo(100, 6);
});

test("single calls at recorded times stay a stream, whatever the seed", () => {
  const starts = [30, 10, 20, 0];
  const single = workload(...starts.map((_, i) => [call([i], { startMs: 0, durationMs: 99 })]));
  const stream = {
    ...single,
    runs: single.runs.map((run, i) => ({ ...run, startMs: starts[i] ?? 0 })),
  };
  for (const seed of [1, 2, 3]) {
    const { calls } = schedule(stream, { concurrency: 2, seed });
    expect(calls.map(({ at }) => at)).toEqual([0, 10, 20, 30]);
    expect(calls.map((one) => one.call.blocks[0])).toEqual([3, 1, 2, 0]);
  }
});

test("replays all of a timed trace whose runs are all open at once", () => {
  const [one = [], other = []] = [0, 100].map((first) =>
    Array.from({ length: 100 }, (_, i) => call([first + i], { startMs: 1000 * i, durationMs: 10 })),
  );
  for (const seed of [1, 2, 3]) {
    const played = schedule(workload(one, other), { concurrency: 8, seed });
    expect(played.calls).toHaveLength(200);
    // Not in step.
    const began = [...byRun(played).values()].map(([first]) => first?.at ?? 0);
    expect(Math.abs((began[0] ?? 0) - (began[1] ?? 0))).toBeGreaterThan(10);
  }
});

test("stops after as many block touches as told", () => {
  // Three blocks a call: the third call comes to 9, which is the first sum of 7 or more.
  const long = workload(Array.from({ length: 5 }, () => call([0, 1, 2])));
  const { calls } = schedule(long, { concurrency: 1, seed: 1, maxTouches: 7 });
  expect(calls.map(({ isLast }) => isLast)).toEqual([false, false, false]);
});

test("leaves out runs without calls", () => {
  const { calls } = schedule(workload([], [call([0])]), { concurrency: 2, seed: 1 });
  expect(calls).toHaveLength(1);
});

test("the working set is what the open runs have ever used, averaged over time", () => {
  // One run at a time. The first call of each uses 2 blocks, the second 1 more: 2, 3, 2, 3 blocks after each call.
  const short = workload([call([0, 1]), call([0, 2])], [call([3, 4]), call([5])]);
  expect(schedule(short, { concurrency: 1, seed: 1 }).workingSet).toBe(2.5);
  // Two runs that share a block: 1, 1, then whatever is left of them, counted once.
  const shared = workload([call([0])], [call([0])]);
  expect(schedule(shared, { concurrency: 2, seed: 1 }).workingSet).toBe(1);
  // Of a long one, of which only its first calls are played, all of these count: 1, 2 and 3 blocks.
  const begun = workload(Array.from({ length: 100 }, (_, i) => call([i])));
  expect(schedule(begun, { concurrency: 1, seed: 1, maxTouches: 3 }).workingSet).toBe(2);
  // From 50 calls on every 50th counts: 50 blocks at the first look, 100 at the second.
  const long = workload(Array.from({ length: 100 }, (_, i) => call([i])));
  expect(schedule(long, { concurrency: 1, seed: 1 }).workingSet).toBe(75);
});

/** Runs of two calls, 100 ms apart, each of them of 50 ms. */
const turn = (id: string, session: string, startMs: number, first: number): RecordedRun => ({
  id,
  session,
  startMs,
  calls: [0, 1].map((i) => call([first + i], { startMs: 100 * i, durationMs: 50 })),
});

test("the runs of a thread follow each other, as far apart as they were", () => {
  const runs = [
    turn("b2", "b", 9000, 6),
    turn("a1", "a", 0, 0),
    turn("b1", "b", 2000, 4),
    turn("a2", "a", 1000, 2),
  ];
  const recorded = { ...workload(), blockCount: 8, runs };
  for (const seed of [1, 2, 3]) {
    const { calls } = schedule(recorded, { concurrency: 3, seed });
    for (const [session, apart] of [
      ["a", 1000],
      ["b", 7000],
    ] as const) {
      const own = calls.filter((one) => one.recorded.session === session);
      expect(new Set(own.map(({ thread }) => thread)).size).toBe(1);
      expect(own.map((one) => one.recorded.id)).toEqual([1, 1, 2, 2].map((i) => `${session}${i}`));
      expect(own.map(({ isLast }) => isLast)).toEqual([false, true, false, true]);
      expect((own[2]?.at ?? 0) - (own[0]?.at ?? 0)).toBeCloseTo(apart, 6);
      expect(own[0]?.run).not.toBe(own[2]?.run);
    }
    const untimed = schedule(recorded, { concurrency: 3, seed, order: "random" }).calls;
    expect(untimed.filter((one) => one.recorded.session === "b").map((one) => one.recorded.id)).toEqual([
      "b1",
      "b1",
      "b2",
      "b2",
    ]);
  }
});

test("a thread counts once among those open at once, and until its last run has ended", () => {
  const runs = Array.from({ length: 12 }, (_, i) =>
    turn(`${i}`, `thread ${i % 4}`, 5000 * Math.floor(i / 4), 2 * i),
  );
  const recorded = { ...workload(), blockCount: 24, runs };
  for (const order of ["own", "random"] as const) {
    const { calls } = schedule(recorded, { concurrency: 2, seed: 1, order });
    const last = (thread: number) => calls.findLastIndex((one) => one.thread === thread);
    for (const index of calls.keys()) {
      const open = calls.slice(0, index + 1).filter(({ thread }) => last(thread) >= index);
      expect(new Set(open.map(({ thread }) => thread)).size).toBeLessThanOrEqual(2);
    }
    expect(new Set(calls.map((one) => one.thread)).size).toBe(4);
  }
});

test("runs of a session that overlap are threads of their own", () => {
  const runs = [turn("1", "batch", 0, 0), turn("2", "batch", 100, 2), turn("3", "batch", 9000, 4)];
  const { calls } = schedule({ ...workload(), blockCount: 6, runs }, { concurrency: 3, seed: 1 });
  const threadOf = (id: string) => calls.find((one) => one.recorded.id === id)?.thread;
  expect(threadOf("1")).not.toBe(threadOf("2"));
  expect(threadOf("2")).toBe(threadOf("3"));
});
