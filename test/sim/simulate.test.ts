import { describe, expect, it } from "vitest";
import { capacityIn } from "../../src/sim/capacity.ts";
import { idleTtftMs, measuredEngine } from "../../src/sim/cost-model.ts";
import { plotRows } from "../../src/sim/plot.ts";
import { countSteps } from "../../src/sim/progress.ts";
import { serve } from "../../src/sim/serve.ts";
import { loadContenders, replaysOf, simulate } from "../../src/sim/simulate.ts";
import { simulationTable } from "../../src/sim/simulate-table.ts";
import type { Outcome } from "../../src/sim/replay.ts";
import { cost, written } from "./written-schedule.ts";

// A cache of two blocks: LRU drops b and a for cd, and has nothing in the end; who knows the future drops cd at once and
// hits twice.
const alternating = written("ab cd ab").workload;

async function rows(of = alternating, more: object = {}) {
  const contenders = await loadContenders(["unbounded", "lru", "belady"]);
  return simulate(of, { contenders, capacity: ["2"], concurrency: [1], seed: [1], ...more });
}

async function untimed() {
  return (await rows()).map((row) => ({ ...row, decision_us: undefined }));
}

describe("simulate", () => {
  it("judges policies by hits, shares of the gain over LRU, evictions and work", async () => {
    const [unbounded, lru, belady] = await rows();
    expect(lru).toMatchObject({
      trace: "written",
      policy: "lru",
      capacity: 2,
      capacity_given: "2",
      concurrency: 1,
      seed: 1,
      order: "random",
      calls: 3,
      hit_rate: 0,
      gap_closed: 0,
      oracle_share: 0,
      evictions: 4,
      prefill_tokens: 96,
      prefetch: { used: 0, wasted: 0 },
    });
    expect(belady).toMatchObject({
      hit_rate: 1 / 3,
      gap_closed: 1,
      oracle_share: 1,
      evictions: 2,
      prefill_tokens: 64,
    });
    expect(unbounded).toMatchObject({ hit_rate: 1 / 3, evictions: 0 });
  });

  it("models times by the measured engine: here every call waits for nothing", async () => {
    const [, lru, belady] = await rows();
    const cold = idleTtftMs(measuredEngine, 0, 32);
    const warm = idleTtftMs(measuredEngine, 32, 32);
    expect(lru?.ttft_ms.mean).toBeCloseTo(cold, 9);
    expect(lru?.calls_per_second).toBeCloseTo(1000 / cold, 9);
    expect(belady?.ttft_ms.mean).toBeCloseTo((2 * cold + warm) / 3, 9);
    expect(belady?.ttft_ms.p99).toBeCloseTo(cold, 9);
  });

  it("has no shares where nothing can be gained", async () => {
    const found = await rows(alternating, { capacity: ["4"] });
    expect(found.map(({ gap_closed }) => gap_closed)).toEqual([null, null, null]);
    expect(found.map(({ oracle_share }) => oracle_share)).toEqual([null, null, null]);
  });

  it("replays what the shares need without listing it", async () => {
    const contenders = await loadContenders(["sieve", "sieve"]);
    const options = { contenders, capacity: ["2", "3"], concurrency: [1, 2], seed: [1, 2] };
    const replayed: string[] = [];
    const found = await simulate(alternating, { ...options, onReplay: (text) => void replayed.push(text) });
    expect(found).toHaveLength(8);
    expect(new Set(found.map(({ policy }) => policy))).toEqual(new Set(["sieve"]));
    expect(replayed).toHaveLength(replaysOf({ ...options }));
    expect(replayed[0]).toBe("written: sieve, capacity 2, 1 open runs, seed 1");
  });

  it("gives the same rows again, but for the time that decisions take", async () => {
    expect(await untimed()).toEqual(await untimed());
  });

  it("stops between two replays when it is aborted", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const running = rows(alternating, { signal: abort.signal, onReplay: () => abort.abort(reason) });
    await expect(running).rejects.toBe(reason);
  });
});

describe("capacity", () => {
  const scheduled = { ...written("a"), workingSet: 101 };

  it.each([
    ["25%", 25],
    ["0.1%", 1],
    ["7", 7],
    ["4096t", 256],
    ["33t", 2],
    ["1t", 1],
  ])("%s of 101 blocks with 16 tokens each is %i", (given, blocks) => {
    expect(capacityIn(given, scheduled)).toBe(blocks);
  });
});

/** What a replay says when each call found so many blocks. */
function hits(...hitsByCall: readonly number[]): Outcome {
  const counts = { touches: 0, hits: 0, evictions: 0, prefetch: { used: 0, wasted: 0 } };
  return { calls: hitsByCall.length, ...counts, hitsByCall: Int32Array.from(hitsByCall), decisionUs: [] };
}

describe("serve", () => {
  it("computes prompts that wait in one step, and opens the next run where one ends", () => {
    // 1 and 2 arrive at 0, are in the queue at 10, and share a step: first tokens at 10 + 2 + 32 = 44.
    // 3 is opened then, and 1 goes on: in the queue at 54. One block of 3 is missing, none of 1: 54 + 2 + 16 = 72.
    const scheduled = { ...written("1:a 2:b 3:cd 1:ab"), concurrency: 2 };
    const times = serve(scheduled, hits(0, 0, 1, 2), cost);
    expect([...times.ttftMs]).toEqual([44, 44, 28, 28]);
    expect(times.prefillTokens).toBe(48);
    expect(times.callsPerSecond).toBeCloseTo(4 / 0.072, 9);
  });

  it("computes answers beside prompts, a token a step", () => {
    // 1: in the queue at 10, first token at 28. 2: in the queue at 30, when the second token, of 28 to 33, is under way.
    // Its prompt and the third token: 33 + 2 + 16 + 3 = 54. Then its own two tokens: 64.
    const { calls, ...plain } = written("1:a 2:b");
    const long = calls.map((one, i) => ({ ...one, at: 20 * i, call: { ...one.call, outputTokens: 3 } }));
    const times = serve({ ...plain, isTimed: true, calls: long }, hits(0, 0), cost);
    expect([...times.ttftMs]).toEqual([28, 34]);
    expect(times.callsPerSecond).toBeCloseTo(2 / 0.064, 9);
  });

  it("takes a request in when the cache can hold it beside those that run", () => {
    const wide = { ...cost, chunkTokens: 64 };
    // Each two blocks, and one for each answer.
    expect([...serve(written("1:ab 2:cd"), hits(0, 0), wide, 6).ttftMs]).toEqual([76, 76]);
    expect([...serve(written("1:ab 2:cd"), hits(0, 0), wide, 5).ttftMs]).toEqual([44, 78]);
    // Of a prompt that nothing can hold there is no waiting for room.
    expect([...serve(written("1:ab"), hits(0), wide, 1).ttftMs]).toEqual([44]);
  });

  it("has calls come at their recorded times, but not before their run's last answer", () => {
    const { calls, ...plain } = written("a a a");
    const at = [100, 110, 500];
    const timed = { ...plain, isTimed: true, calls: calls.map((one, i) => ({ ...one, at: at[i] ?? 0 })) };
    // 100: answered at 128. The second comes at 128, not at 110. The third finds the server idle.
    const times = serve(timed, hits(0, 1, 0), cost);
    expect([...times.ttftMs]).toEqual([28, 12, 28]);
    expect(times.callsPerSecond).toBeCloseTo(3 / 0.428, 9);
  });

  it("sends calls that overlapped in the recording without waiting for each other", () => {
    const { calls, ...plain } = written("a a a");
    const at = [0, 5, 50];
    const timed = {
      ...plain,
      isTimed: true,
      calls: calls.map((one, i) => ({ ...one, at: at[i] ?? 0, call: { ...one.call, durationMs: 40 } })),
    };
    // 0: answered at 28. 5: waits for that step only, 28 + 2 = 30. The third followed both, which are answered by 50.
    expect([...serve(timed, hits(0, 1, 1), cost).ttftMs]).toEqual([28, 25, 12]);
  });

  it("charges attention by what stands before", () => {
    const curved = { ...cost, squaredTokenMs: 0.1, answerContextMs: 0.01, promptTokenMs: 0.5 };
    expect(idleTtftMs(curved, 16, 32)).toBe(10 + 0.5 * 32 + 2 + 16 + 0.1 * (32 ** 2 - 16 ** 2));
    const { calls, ...plain } = written("ab ab");
    const long = calls.map((one) => ({ ...one, call: { ...one.call, outputTokens: 3 } }));
    const times = serve({ ...plain, calls: long }, hits(1, 2), curved);
    const cold = idleTtftMs(curved, 16, 32);
    expect(times.ttftMs[0]).toBeCloseTo(cold, 9);
    // Two more tokens, after 32 and after 33 others, for each of the two answers.
    const answers = 2 * (2 * (2 + 3) + 0.01 * (32 + 33));
    expect(times.callsPerSecond).toBeCloseTo(2000 / (cold + idleTtftMs(curved, 32, 32) + answers), 9);
  });
});

/** What is told of thirty steps. */
function progress(isTTY: boolean): readonly string[] {
  const lines: string[] = [];
  const step = countSteps({ stderr: (text) => void lines.push(text), isTTY }, 30);
  for (let i = 1; i <= 30; i++) step(`step ${i}`);
  return lines;
}

/** Characters of the longest line. */
const widest = (table: string) => Math.max(...table.split("\n").map((line) => line.length));

describe("what people see", () => {
  it("shows medians over the seeds with least and most", async () => {
    const [row] = await rows();
    if (!row) throw new Error("no row");
    const table = simulationTable([1, 2, 3].map((seed) => ({ ...row, seed, hit_rate: seed / 10 })));
    expect(table).toContain("20.0 (10.0-30.0)");
    expect(table.split("\n")).toHaveLength(5);
  });

  it("fits a terminal of 140 columns, and has every cell on one line where there is none", async () => {
    const [row] = await rows();
    if (!row) throw new Error("no row");
    const seeds = [1, 2, 3].map((seed) => ({ ...row, seed, hit_rate: seed / 10, gap_closed: seed / 10 }));
    expect(widest(simulationTable(seeds, 140))).toBeLessThanOrEqual(140);
    expect(simulationTable(seeds, 140)).toContain("(10.0-30.0)");
    expect(widest(simulationTable(seeds))).toBeGreaterThan(150);
  });

  it("draws a panel for each workload and number of open runs, with a line for each policy", async () => {
    const found = await rows(alternating, { capacity: ["1", "2", "3"], concurrency: [1, 2] });
    const svg = plotRows(found);
    expect(svg).toMatch(/^<svg width="920" height="340"/);
    for (const text of [
      "written, 1 open runs",
      "written, 2 open runs",
      "lru",
      "belady",
      "cache size, blocks",
    ])
      expect(svg).toContain(`>${text}</text>`);
    expect(svg).not.toContain("order-oracle");
    expect(svg).toContain('fill="#ffffff"');
  });

  it("counts steps on one line of a terminal, and in tenths elsewhere", () => {
    expect(progress(false)).toHaveLength(10);
    expect(progress(false).at(-1)).toBe("30/30 step 30\n");
    expect(progress(true)).toHaveLength(30);
    expect(progress(true)[0]).toBe("\r\u001b[K1/30 step 1");
  });
});
