import { expect, test } from "vitest";
import lru from "../../src/sim/baselines/lru.ts";
import type { Baseline } from "../../src/sim/cache-policy.ts";
import { replay, replayInTurns } from "../../src/sim/replay.ts";
import { written } from "./written-schedule.ts";

/** Writes down what it is told. */
function listener(heard: string[]): Baseline {
  return {
    name: "listener",
    description: "",
    source: "",
    isUnbounded: true,
    create: () => ({
      request: ({ run, at }) => void heard.push(`${at} request of ${run}`),
      victim: () => 0,
      completed: ({ run, at }) => void heard.push(`${at} completed of ${run}`),
      ended: (run) => void heard.push(`end of ${run}`),
    }),
  };
}

test("a policy hears of each answer before the next request, and of a run's end at once", () => {
  const heard: string[] = [];
  replay(written("1:a 2:b 1:c"), listener(heard), { capacity: 9 });
  expect(heard).toEqual([
    "0 request of 0",
    "0 completed of 0",
    "1 request of 1",
    "1 completed of 1",
    "end of 1",
    "2 request of 0",
    "2 completed of 0",
    "end of 0",
  ]);
});

test("with times, answers come when they are due, and a run ends with the last of them", () => {
  const heard: string[] = [];
  const untimed = written("1:a 1:b 2:c");
  // Run 0 asks at 0 for 100 ms and at 10, its last call, for 5 ms; run 1 asks at 50 for 10 ms.
  const times = [
    { at: 0, durationMs: 100 },
    { at: 10, durationMs: 5 },
    { at: 50, durationMs: 10 },
  ];
  const calls = untimed.calls.map((one, i) => {
    const { at = 0, durationMs = 0 } = times[i] ?? {};
    return { ...one, at, call: { ...one.call, durationMs } };
  });
  replay({ ...untimed, isTimed: true, calls }, listener(heard), { capacity: 9 });
  expect(heard).toEqual([
    "0 request of 0",
    "10 request of 0",
    "15 completed of 0",
    "50 request of 1",
    "60 completed of 1",
    "end of 1",
    "100 completed of 0",
    "end of 0",
  ]);
});

test("a policy that names a block which is not in cache is found out", () => {
  const liar: Baseline = { ...lru, name: "liar", create: () => ({ request: () => {}, victim: () => 1 }) };
  expect(() => replay(written("a c b"), liar, { capacity: 1 })).toThrow(
    "liar evicts block 1, which is not in cache",
  );
});

test("decisions are timed in microseconds when a clock is given", () => {
  let now = 0;
  const { decisionUs } = replay(written("a b"), lru, { capacity: 1, now: () => now++ });
  expect(decisionUs).toEqual([1000, 1000]);
});

test("in turns comes to the same as at once", async () => {
  const given = written("1:abc 2:ad 1:abcd 2:ade");
  expect(await replayInTurns(given, lru, { capacity: 3 })).toEqual(replay(given, lru, { capacity: 3 }));
});

test("in turns stops when it is aborted, however long a replay goes on", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  let requests = 0;
  const slow: Baseline = {
    ...lru,
    create(context) {
      const policy = lru.create(context);
      return {
        ...policy,
        request(arrival) {
          requests++;
          // As Ctrl-C is: heard when the code at work pauses.
          setImmediate(() => abort.abort(reason));
          const until = performance.now() + 120;
          while (performance.now() < until);
          policy.request(arrival);
        },
      };
    },
  };
  const running = replayInTurns(written("a b c d e"), slow, { capacity: 1, signal: abort.signal });
  await expect(running).rejects.toBe(reason);
  expect(requests).toBe(1);
});

/** Brings these blocks after the call with that number, and evicts the lowest. */
function fetching(blocks: Readonly<Record<number, readonly number[]>>): Baseline {
  return {
    name: "fetching",
    description: "",
    source: "",
    create({ isResident, blockCount }) {
      let latest = 0;
      return {
        request: ({ index }) => void (latest = index),
        victim: () => Array.from({ length: blockCount }, (_, block) => block).find(isResident) ?? 0,
        prefetch: (most) => (blocks[latest] ?? []).slice(0, most),
      };
    },
  };
}

test("what was computed ahead is used when a prompt finds it, and wasted when it goes before or nobody asks", () => {
  // a, b and c are blocks 0 to 2. After the first call b and c come: 2 + 3 + 1 of the other calls' blocks are there.
  const played = replay(written("a ab acb a"), fetching({ 0: [1, 2] }), { capacity: 4, prefetchBlocks: 2 });
  expect(played).toMatchObject({ hits: 6, prefetch: { used: 2, wasted: 0 } });
  const unused = replay(written("a a d"), fetching({ 1: [1] }), { capacity: 1, prefetchBlocks: 2 });
  // With room for one block, the second a is found; then a goes for d, which is asked for next.
  expect(unused).toMatchObject({ hits: 2, evictions: 1, prefetch: { used: 1, wasted: 0 } });
  const late = replay(written("a b c"), fetching({ 0: [2], 1: [] }), { capacity: 2, prefetchBlocks: 1 });
  // c comes after a, and b, the third, takes a's place; c is found.
  expect(late).toMatchObject({ hits: 1, prefetch: { used: 1, wasted: 0 } });
  const never = replay(written("a b b"), fetching({ 1: [0] }), { capacity: 1, prefetchBlocks: 1 });
  // a is brought back beside b, and goes at once, the lowest: one block computed for nothing.
  expect(never.prefetch).toEqual({ used: 0, wasted: 1 });
});

test("without time to compute ahead nothing is, and a block that is there cannot be brought", () => {
  const policy = fetching({ 0: [0] });
  expect(replay(written("a a"), policy, { capacity: 2 }).prefetch).toEqual({ used: 0, wasted: 0 });
  expect(() => replay(written("a a"), policy, { capacity: 2, prefetchBlocks: 1 })).toThrow(
    /block 0.*in cache/,
  );
});
