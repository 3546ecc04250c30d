import { describe, expect, it } from "vitest";
import { Observed } from "../../src/dashboard/observed.ts";
import { overview } from "../../src/dashboard/views/overview.ts";
import { Player } from "../../src/playback/player.ts";
import cachesage from "../../src/sim/baselines/cachesage.ts";
import lru from "../../src/sim/baselines/lru.ts";
import { replay } from "../../src/sim/replay.ts";
import { schedule } from "../../src/sim/schedule.ts";
import { BlockIds, type RecordedRun, type Workload } from "../../src/sim/workload.ts";

const { signal } = new AbortController();

/** Runs of three agents on shared messages; every prompt is whole blocks, so that tokens are exact. */
function workload(runs: number): Workload {
  const ids = new BlockIds();
  const recorded = Array.from({ length: runs }, (_, run): RecordedRun => ({
    id: `recorded-${run}`,
    calls: ["planner", "coder", "tester", "coder", "tester"].map((agent, step) => {
      const prompt = [
        ...Array.from({ length: 8 }, (_part, i) => `${agent} ${i}`),
        ...Array.from({ length: 3 * step }, (_part, i) => `${run} ${i}`),
      ];
      return {
        agent,
        blocks: Int32Array.from(prompt, (_part, i) => ids.id(prompt.slice(0, i + 1).join("/"))),
        anchorBlocks: 8,
        promptTokens: prompt.length * 16,
        outputTokens: 0,
      };
    }),
  }));
  return { name: "team", blockTokens: 16, blockCount: ids.count, runs: recorded };
}

describe("a recording on the dashboard", () => {
  it("shows the hit rates that the simulator comes to: ours, and LRU by the shadow", async () => {
    const scheduled = schedule(workload(30), { concurrency: 4, seed: 1, order: "random" });
    const player = new Player(scheduled, { capacity: "60", seconds: 0.2 });
    const observed = new Observed(player.source, { kvTokens: undefined, everyMs: 1000 });
    await new Promise((resolve) => setImmediate(resolve));
    await player.play(signal);
    observed.stop();
    const shown = overview(observed);
    const [ours, simulatedLru] = [cachesage, lru].map((policy) =>
      replay(scheduled, policy, { capacity: 60 }),
    );
    expect(shown.requests).toBe(150);
    expect(shown.cachedTokens).toBe((ours?.hits ?? 0) * 16);
    expect(shown.promptTokens).toBe((ours?.touches ?? 0) * 16);
    expect(shown.shadows.state).toBe("shown");
    // The anchor is one part to the shadow, which takes it back from its end as the simulator does its blocks.
    expect(shown.shadows.lruTokens / 16).toBeCloseTo(simulatedLru?.hits ?? 0, 5);
    expect(observed.source.ledger.count).toBeGreaterThan(0);
    expect(observed.source.stats()).toMatchObject({ faults: 0, openRuns: 0 });
  });

  it("stops when it is interrupted", async () => {
    const interrupt = new AbortController();
    const scheduled = schedule(workload(5), { concurrency: 2, seed: 1, order: "random" });
    const player = new Player(scheduled, { capacity: "60", seconds: 600 });
    const playing = player.play(interrupt.signal);
    interrupt.abort(new Error("Ctrl-C"));
    await expect(playing).rejects.toThrow(/Ctrl-C|aborted/);
  });
});
