import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BlockText } from "../../src/bench/block-text.ts";
import { planTrace } from "../../src/bench/plan.ts";
import { paceRuns, playTrace, type TracePlay } from "../../src/bench/play-trace.ts";
import { PromptTree } from "../../src/bench/prompt-tree.ts";
import { servedSchedule } from "../../src/bench/served.ts";
import engineLru from "../../src/bench/engine-lru.ts";
import { replay } from "../../src/sim/replay.ts";
import type { Arm } from "../../src/arms/arm.ts";
import { small } from "./recorded.ts";

const text = new BlockText();
const cache = mkdtempSync(join(tmpdir(), "cachesage-bench-"));
const before = process.env["XDG_CACHE_HOME"];
beforeAll(() => void (process.env["XDG_CACHE_HOME"] = cache));
afterAll(() => {
  if (before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = before;
  rmSync(cache, { recursive: true });
});

async function play(arm: Arm, blockTokens: number, more: Partial<TracePlay> = {}) {
  const tree = new PromptTree(small, blockTokens, text);
  const concurrency = 1;
  const result = await playTrace(arm, {
    runs: paceRuns(small.runs, { seed: 1, gapMs: 0, answerTokens: 4 }),
    tree,
    concurrency,
    arrivalMs: 0,
    model: "pico",
    kvTokens: 4096,
    contextTokens: 1024,
    signal: new AbortController().signal,
    onRun: () => {},
    ...more,
  });
  const { played } = result.log;
  return { ...result, played, served: servedSchedule(played, { blockTokens, tree, seed: 1, concurrency }) };
}

const calls = small.runs.flatMap((run) => run.calls);

describe("a recorded workload on the embedded engine", () => {
  it.each([
    ["of the recorded size, in ample cache", 16, 4096],
    ["of the recorded size, in a cache of nine blocks", 16, 144],
    ["twice as large, in ample cache", 32, 4096],
    ["twice as large, in a cache of seventeen engine blocks", 32, 272],
    ["scaled down to a quarter, in ample cache", 4, 4096],
  ])("has the recorded lengths, and hits what the simulator says: blocks %s", async (_, size, kvTokens) => {
    const { played, served } = await play("lru", size, { kvTokens });
    expect(played.map(({ call }) => call)).toEqual(calls);
    // One token opens the answer.
    expect(played.map(({ record }) => record.promptTokens)).toEqual(
      calls.map(({ blocks }) => blocks.length * size + 1),
    );
    expect(played.every(({ record }) => record.outputTokens === 4)).toBe(true);
    const capacity = Math.floor(kvTokens / served.blockTokens);
    const { hitsByCall, hits } = replay(served.withAnswers, engineLru, { capacity });
    expect(hits).toBeGreaterThan(0);
    for (const [index, { record }] of played.entries()) {
      const simulated = (hitsByCall[index] ?? 0) * served.blockTokens;
      // The control token that opens a message may be shared where its text is not.
      const { cachedTokens = 0 } = record;
      // Less than a cache block is not worth a copy to the engine.
      expect(simulated < 15 ? [0] : [simulated, simulated + 1]).toContain(cachedTokens);
    }
  });

  it("finds nothing in cache where prefix caching is off", async () => {
    const { played } = await play("none", 16);
    expect(played.map(({ record }) => record.cachedTokens)).toEqual(calls.map(() => 0));
  });

  it("is seen by cachesage as the record has it, with several runs open", async () => {
    const { played, sage } = await play("hints", 16, { concurrency: 3 });
    expect(played).toHaveLength(calls.length);
    expect(sage?.faults).toBe(0);
    expect(sage?.openRuns).toBe(0);
    expect(sage?.hints["retain applied"]).toBeGreaterThan(0);
    expect(sage?.hints["release applied"]).toBeGreaterThan(0);
    for (const [index, { calls: own }] of small.runs.entries())
      expect(played.filter(({ run }) => run === index).map(({ call }) => call)).toEqual(own);
  });

  it("has the runs of a thread one after the other, each an invocation of its own", async () => {
    const chat = small.runs.map((run, index) => (index < 2 ? { ...run, session: "chat" } : run));
    const plan = planTrace({ ...small, runs: chat }, { concurrency: 2, seed: 1, longestPrompt: 8192 });
    const { runEnds, workload } = plan;
    const { played, sage } = await play("hints", 16, {
      concurrency: 2,
      runs: paceRuns(workload.runs, { seed: 1, gapMs: 0, answerTokens: 4, runEnds }),
    });
    expect(sage?.faults).toBe(0);
    expect(sage?.openRuns).toBe(0);
    for (const [index, { calls: own }] of workload.runs.entries()) {
      const part = played.filter(({ run }) => run === index);
      expect(part.map(({ call }) => call)).toEqual(own);
      expect(part.map(({ isLast }) => isLast)).toEqual(own.map((_, i) => i === own.length - 1));
    }
    expect(workload.runs.map((run) => run.calls.length).toSorted()).toEqual([3, 8]);
  });
});
