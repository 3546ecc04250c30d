import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { summariseAgents } from "../../src/sim/inspect/agents.ts";
import { summariseAnchors } from "../../src/sim/inspect/anchors.ts";
import { inspect, STEPS } from "../../src/sim/inspect/inspection.ts";
import { plotInspection } from "../../src/sim/inspect/inspection-plot.ts";
import lruWithRelease from "../../src/sim/inspect/lru-with-release.ts";
import { inspectionReport } from "../../src/sim/inspect/report.ts";
import { summariseReuse } from "../../src/sim/inspect/reuse.ts";
import type { SizeResult } from "../../src/sim/inspect/sizes.ts";
import { StackDistance } from "../../src/sim/inspect/stack-distance.ts";
import { summariseTransitions } from "../../src/sim/inspect/transitions.ts";
import { judge } from "../../src/sim/inspect/verdict.ts";
import lru from "../../src/sim/baselines/lru.ts";
import { replay } from "../../src/sim/replay.ts";
import type { Workload } from "../../src/sim/workload.ts";
import { written } from "./written-schedule.ts";

/** Every prompt's first block is its anchor. */
function anchored(workload: Workload): Workload {
  return {
    ...workload,
    runs: workload.runs.map((run) => ({
      ...run,
      calls: run.calls.map((call) => ({ ...call, anchorBlocks: 1 })),
    })),
  };
}

const small = written("1:x:abc 1:y:ad 1:x:abc 2:x:abe");

describe("agents and anchors", () => {
  it("counts calls, runs and mean tokens of each agent, the busiest first", () => {
    expect(summariseAgents(anchored(small.workload))).toEqual([
      { agent: "x", calls: 3, runs: 2, prompt_tokens: 48, anchor_tokens: 16, output_tokens: 1 },
      { agent: "y", calls: 1, runs: 1, prompt_tokens: 32, anchor_tokens: 16, output_tokens: 1 },
    ]);
  });

  it("tells anchors by their blocks, whoever uses them", () => {
    expect(summariseAnchors(anchored(small.workload))).toEqual({
      distinct: 1,
      shared: 1,
      shared_share: 4 / 11,
      largest: [{ agents: ["x", "y"], tokens: 16, calls: 4, runs: 2 }],
    });
    expect(summariseAnchors(small.workload)).toMatchObject({ distinct: 0, shared: 0, shared_share: 0 });
  });
});

describe("reuse", () => {
  it("measures distances in calls and in distinct blocks", () => {
    // a b c | a (after b c: 2) d | a (d: 1) b (c a d: 3) c (a d b: 3) | a (b c: 2) b (c a: 2) e
    expect(summariseReuse(small)).toEqual({
      touches: 11,
      first: 5 / 11,
      same_run: 4 / 11,
      other_run: 2 / 11,
      distance_calls: { p10: 1, p50: 1, p90: 2, p99: 2 },
      distance_blocks: { p10: 1, p50: 2, p90: 3, p99: 3 },
    });
  });

  it("has no distances where nothing is used again", () => {
    expect(summariseReuse(written("a b"))).toMatchObject({ first: 1, distance_calls: null });
  });

  it("agrees with counting by hand, over any number of touches", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 80 }), (touches) => {
        const stack = new StackDistance(7);
        for (const [index, block] of touches.entries()) {
          const before = touches.lastIndexOf(block, index - 1);
          const since =
            before < 0 || index === 0 ? undefined : new Set(touches.slice(before + 1, index)).size;
          expect(stack.touch(block)).toBe(since);
        }
      }),
    );
  });
});

describe("transitions", () => {
  it("counts who follows whom, and how often the most frequent successor is right where the agent changes", () => {
    // x y x x y z: changes x-y, y-x, x-y, y-z. In hindsight x-y twice and one of y's two; so far only the second x-y.
    const { workload } = written("1:x:a 1:y:a 1:x:a 1:x:a 1:y:a 1:z:a");
    expect(summariseTransitions(workload, ["x", "y", "z"])).toEqual({
      agents: ["x", "y", "z"],
      counts: [
        [1, 2, 0],
        [1, 0, 1],
        [0, 0, 0],
      ],
      ends: [0, 0, 1],
      entropy: {
        next: expect.closeTo(0.8 * Math.log2(2.5) + 0.2 * Math.log2(5), 12),
        next_given_current: expect.closeTo(0.6 * Math.log2(3) - 0.4 + 0.4, 12),
        reduction: expect.closeTo(0.3752, 3),
      },
      switches: { count: 4, top1: 0.75, top1_so_far: 0.25, top1_any: 0.5 },
    });
  });

  it("has no entropy without transitions, and no switches without a second agent", () => {
    expect(summariseTransitions(written("1:x:a 2:x:b").workload, ["x"])).toMatchObject({
      entropy: null,
      switches: null,
    });
    expect(summariseTransitions(written("1:x:a 1:x:b").workload, ["x"])).toMatchObject({
      entropy: { next: 0, next_given_current: 0, reduction: 0 },
      switches: null,
    });
  });
});

describe("LRU with release", () => {
  it("drops what an ended run leaves before what was used longer ago", () => {
    // Four blocks. Run 2 ends after its only call; ef needs two places. LRU drops ab, which run 1 comes back for.
    const scheduled = written("1:ab 2:cd 3:ef 1:ab 3:ef");
    expect(replay(scheduled, lru, { capacity: 4 }).hits).toBe(2);
    expect(replay(scheduled, lruWithRelease, { capacity: 4 }).hits).toBe(4);
  });

  it("keeps blocks that other runs use too", () => {
    // b of run 2 goes, a stays, as under LRU.
    const scheduled = written("1:ac 2:ab 3:de 1:a");
    expect([...replay(scheduled, lruWithRelease, { capacity: 4 }).hitsByCall]).toEqual([0, 1, 0, 1]);
  });
});

/** Hit rates of LRU, LRU with release, the order oracle and Belady. */
function size(percent: number, rates: readonly number[], shared_gain = 0): SizeResult {
  const [plain = 0, release = 0, oracle = 0, belady = 0] = rates;
  const parts = { lru: plain, lru_with_release: release, order_oracle: oracle, belady };
  return { percent, blocks: 10 * percent, ...parts, shared_gain };
}

describe("the verdict", () => {
  const reuse = summariseReuse(small);
  const anchors = summariseAnchors(anchored(small.workload));
  const transitions = summariseTransitions(small.workload, ["x", "y"]);
  const verdict = (...sizes: readonly SizeResult[]) =>
    judge({ calls: 100, sizes, reuse, anchors, transitions });

  it("splits the largest gain into release, anchors and prediction", () => {
    const { sentences, ...figures } = verdict(
      size(10, [0.1, 0.1, 0.15, 0.2]),
      size(25, [0.3, 0.35, 0.5, 0.6], 0.08),
    );
    expect(figures).toEqual({
      can_gain: true,
      at_percent: 25,
      learnable: expect.closeTo(20, 9),
      from_release: expect.closeTo(5, 9),
      from_anchors: expect.closeTo(8, 9),
      from_prediction: expect.closeTo(7, 9),
    });
    expect(sentences[0]).toContain("up to 20.0 points");
    expect(sentences[1]).toContain("Release: 5.0 points");
    expect(sentences[2]).toContain("Anchors: 8.0 points");
    expect(sentences[3]).toContain("Prediction: 7.0 points");
  });

  it.each([
    ["nothing is left above LRU", size(25, [0.5, 0.5, 0.505, 0.505]), "Belady does not either: 54.5 %"],
    ["only the future tells", size(25, [0.5, 0.5, 0.505, 0.6]), "Belady is up to 10.0 points above LRU"],
    ["all caches are too small", { ...size(25, [0.5, 0.5, 0.505, 0.505]), blocks: 1 }, "only a larger one"],
  ])("says why there is nothing to gain: %s", (_, only, reason) => {
    const { can_gain, sentences } = verdict(only);
    expect(can_gain).toBe(false);
    expect(sentences[0]).toContain("cannot gain");
    expect(sentences[1]).toContain(reason);
  });

  it("warns when it rests on few calls", () => {
    const few = judge({ calls: 99, sizes: [size(25, [0.3, 0.3, 0.5, 0.6])], reuse, anchors, transitions });
    expect(few.sentences.at(-1)).toContain("Only 99 calls");
  });

  it("does not judge what is too short", () => {
    expect(verdict()).toMatchObject({ can_gain: null, learnable: null });
  });
});

/** A planner that everybody shares calls workers in turn, six runs of twenty calls, each with a history of its own. */
function team(): Workload {
  const runs = Array.from({ length: 6 }, (_, run) =>
    Array.from({ length: 20 }, (_unused, step) => {
      const agent = step % 2 === 0 ? "P" : "WV".charAt((step >> 1) % 2);
      const anchor = { P: "pqrs", W: "wxyz", V: "vutk" }[agent] ?? "";
      const history = Array.from({ length: 1 + (step >> 1) }, (_none, i) =>
        String.fromCodePoint(0x4e00 + 100 * run + i),
      ).join("");
      return `${run}:${agent}:${anchor}${history}`;
    }),
  );
  return anchored(written(runs.flat().join(" ")).workload);
}

describe("inspect", () => {
  it("puts it all together, counts its steps, and is the same each time", async () => {
    const steps: string[] = [];
    const look = () => inspect(team(), { concurrency: 4, seed: 1, onStep: (step) => void steps.push(step) });
    const inspection = await look();
    expect(steps).toHaveLength(STEPS);
    expect(await look()).toEqual(inspection);
    expect(inspection).toMatchObject({ trace: "written", runs: 6, calls: 120, block_tokens: 16 });
    expect(inspection.schedule).toMatchObject({ concurrency: 4, seed: 1, calls: 120, has_own_times: false });
    expect(inspection.sizes.map(({ percent }) => percent)).toEqual([5, 10, 25, 50, 75, 100]);
    for (const { lru: least, belady } of inspection.sizes) expect(belady).toBeGreaterThanOrEqual(least);
    expect(inspection.transitions.switches?.top1).toBeCloseTo((30 + 30 + 24) / 114, 12);
  });

  it("says in text and picture what it found", async () => {
    const inspection = await inspect(team(), { concurrency: 4, seed: 1 });
    const report = inspectionReport(inspection);
    for (const part of ["Agents", "Anchors", "Reuse", "Transitions", "Hit rate against cache size"])
      expect(report).toContain(part);
    expect(report.endsWith(inspection.verdict.sentences.join("\n"))).toBe(true);
    const svg = plotInspection(inspection);
    for (const text of ["LRU", "LRU + release", "order oracle", "Belady", "(end)", "W"])
      expect(svg).toContain(`>${text}</text>`);
  });

  it("draws agents that are called like what every object has", async () => {
    const agents = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const { workload } = written("1:w:abc 1:x:ad 1:y:abe 1:z:a 2:w:abc 2:x:af 2:y:abg 2:z:a");
    const names: Readonly<Record<string, string | undefined>> = Object.fromEntries(
      agents.map((agent, index) => ["wxyz"[index], agent]),
    );
    const runs = workload.runs.map((run) => ({
      ...run,
      calls: run.calls.map((call) => ({ ...call, agent: names[call.agent] ?? "" })),
    }));
    const svg = plotInspection(await inspect({ ...workload, runs }, { concurrency: 2, seed: 1 }));
    // It used to be cut off before its first line's end.
    expect(svg).toMatch(/^<svg width="\d+" height="\d+" [^>]*viewBox="[\d ]+"><style>[^<]*<\/style>\n<rect /);
    for (const agent of agents) expect(svg).toContain(`${agent}</text>`);
  });

  it("draws the busiest of very many agents", async () => {
    const { workload } = written("1:w:abc 1:x:ad 1:w:abe 1:y:a");
    const [run] = workload.runs;
    const agents = Array.from({ length: 1000 }, (_, i) => `agent ${i}`);
    const runs = [...agents, "agent 999"].map((agent) => ({
      ...run,
      id: agent,
      calls: (run?.calls ?? []).map((call) => ({ ...call, agent })),
    }));
    const svg = plotInspection(await inspect({ ...workload, runs }, { concurrency: 2, seed: 1 }));
    expect(svg).toContain("share of row (busiest 60 of 1000)");
    expect(svg).toContain(">agent 999</text>");
    expect(svg.length).toBeLessThan(3_000_000);
  });

  it("draws names with control characters, which no XML may hold", async () => {
    const inspection = await inspect(team(), { concurrency: 4, seed: 1 });
    expect(plotInspection({ ...inspection, trace: "a\u0000b\u001B" })).toContain(
      "a\uFFFDb\uFFFD: who follows",
    );
  });

  it("measures and judges a short recording too, and says how short it is", async () => {
    const inspection = await inspect(team(), { concurrency: 2, seed: 1, maxTouches: 100 });
    expect(inspection.schedule.calls).toBeLessThan(50);
    expect(inspection.schedule.working_set).toBeGreaterThan(0);
    expect(inspection.sizes).toHaveLength(6);
    const report = inspectionReport(inspection);
    expect(report).not.toContain("a working set of 0 blocks");
    expect(report).toContain(`Only ${inspection.schedule.calls} calls were looked at`);
  });

  it("describes a workload whose prompts fill no block, without sizes", async () => {
    const workload = team();
    const runs = workload.runs.map((run) => ({
      ...run,
      calls: run.calls.map((one) => ({ ...one, blocks: new Int32Array(0) })),
    }));
    const inspection = await inspect({ ...workload, runs }, { concurrency: 2, seed: 1 });
    expect(inspection.sizes).toEqual([]);
    expect(inspectionReport(inspection)).toMatch(/Too short to tell: no prompt fills a single block;.*$/);
    expect(inspectionReport(inspection)).not.toContain("100.0 %");
    expect(plotInspection(inspection)).toMatch(/^<svg /);
  });

  it("stops when it is aborted", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const options = { concurrency: 4, seed: 1, signal: abort.signal, onStep: () => abort.abort(reason) };
    await expect(inspect(team(), options)).rejects.toBe(reason);
  });
});
