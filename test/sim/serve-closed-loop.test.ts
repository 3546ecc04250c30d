import { describe, expect, it } from "vitest";
import { slower } from "../../src/sim/cost-model.ts";
import { serveClosedLoop } from "../../src/sim/serve-closed-loop.ts";
import { cost, written } from "./written-schedule.ts";

function outcome(hits: readonly number[], gaps: readonly number[]) {
  return { hitsByCall: Int32Array.from(hits), gapsMs: Float64Array.from(gaps) };
}

describe("serving in a closed loop", () => {
  it("sends each call its gap after the answer before it", () => {
    // 1: sent at 0, in the queue at 10, answered at 28. 2: sent at 5, in the queue at 15, waits for that step: 46.
    // 1 again: sent at 28 + 20, in the queue at 58, one of two blocks cached: 76.
    const times = serveClosedLoop(written("1:a 2:b 1:ac"), outcome([0, 0, 1], [0, 5, 20]), cost);
    expect([...times.ttftMs]).toEqual([28, 41, 28]);
    expect(times.prefillTokens).toBe(48);
    expect(times.callsPerSecond).toBeCloseTo(3 / 0.076, 9);
  });

  it("serves calls as they come, whatever order the schedule has them in", () => {
    // 2 comes at 100, long after both calls of 1, which it stands before in the schedule.
    const times = serveClosedLoop(written("1:a 2:b 1:c"), outcome([0, 0, 0], [0, 100, 0]), cost);
    expect([...times.ttftMs]).toEqual([28, 28, 28]);
  });

  it("opens the next run where one ends", () => {
    const scheduled = { ...written("1:a 2:b 3:c"), concurrency: 2 };
    // 1 and 2 share a step and are answered at 44; 3 is sent 6 later: 50, 60, 78.
    expect([...serveClosedLoop(scheduled, outcome([0, 0, 0], [0, 0, 6]), cost).ttftMs]).toEqual([44, 44, 28]);
  });

  it("takes all as many times as long on a slower machine, on which users wait as long as before", () => {
    const slow = slower(cost, 2);
    expect(slow).toMatchObject({ chunkTokens: cost.chunkTokens, maxRunning: cost.maxRunning });
    // 1: sent at 0, in the queue at 20, answered at 56. 2: sent at 5, in the queue at 25, waits for that step: 92.
    const times = serveClosedLoop(written("1:a 2:b 1:ac"), outcome([0, 0, 1], [0, 5, 20]), slow);
    expect([...times.ttftMs]).toEqual([56, 87, 56]);
  });

  it("stands still while it takes a request in, where it has no thread of its own for that", () => {
    const shared = { ...cost, overheadMs: 6, requestMs: 4 };
    expect([...serveClosedLoop(written("1:a"), outcome([0], [0]), shared).ttftMs]).toEqual([28]);
    // Both are in the queue at 6; taking them in lasts until 14, and their step until 48.
    expect([...serveClosedLoop(written("1:a 2:b"), outcome([0, 0], [0, 0]), shared).ttftMs]).toEqual([
      48, 48,
    ]);
  });
});
