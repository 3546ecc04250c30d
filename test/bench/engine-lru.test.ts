import { describe, expect, it } from "vitest";
import engineLru from "../../src/bench/engine-lru.ts";
import lru from "../../src/sim/baselines/lru.ts";
import { replay } from "../../src/sim/replay.ts";
import { written } from "../sim/written-schedule.ts";

/** The written schedule, a call each 10 ms, of which each takes so many. */
function timed(text: string, durations: readonly number[]) {
  const { calls, ...plain } = written(text);
  return {
    ...plain,
    isTimed: true,
    calls: calls.map((one, i) => ({
      ...one,
      at: 10 * i,
      call: { ...one.call, durationMs: durations[i] ?? 0 },
    })),
  };
}

describe("LRU as engines keep it", () => {
  it("keeps what was let go of last, not what was asked for last", () => {
    // a is under way until 15, b only from 10 to 11: of the two b is older when c comes at 20.
    const scheduled = timed("1:a 2:b 3:c 4:a", [15, 1, 0, 0]);
    expect([...replay(scheduled, engineLru, { capacity: 2 }).hitsByCall]).toEqual([0, 0, 0, 1]);
    expect([...replay(scheduled, lru, { capacity: 2 }).hitsByCall]).toEqual([0, 0, 0, 0]);
  });

  it("is LRU where no requests overlap", () => {
    const scheduled = written("1:abc 2:abd 1:abce 3:fg 2:abdh 1:abcei");
    for (const capacity of [3, 4, 5, 6, 8])
      expect(replay(scheduled, engineLru, { capacity })).toEqual(replay(scheduled, lru, { capacity }));
  });
});
