import { describe, expect, it } from "vitest";
import { BlockText } from "../../src/bench/block-text.ts";
import { planTrace } from "../../src/bench/plan.ts";
import { paceRuns } from "../../src/bench/play-trace.ts";
import { PromptTree } from "../../src/bench/prompt-tree.ts";
import type { RecordedRun } from "../../src/sim/workload.ts";
import { recorded, small, type Written } from "./recorded.ts";

const text = new BlockText();
const options = { concurrency: 2, seed: 1, longestPrompt: 8192 };

/** Runs of so many calls, each with one block more than the call before. */
function growing(...lengths: readonly number[]) {
  let next = 0;
  return recorded(
    lengths.map((length) => {
      const blocks: number[] = [];
      return Array.from({ length }, (): Written => {
        blocks.push(next++);
        return ["agent", [...blocks], 0];
      });
    }),
  );
}

describe("what is played of a trace", () => {
  it("is all of it unless calls are counted, in another order for another seed", () => {
    const { workload, blockTokens } = planTrace(growing(3, 4, 5, 6), options);
    expect(workload.runs.map(({ calls }) => calls.length).toSorted()).toEqual([3, 4, 5, 6]);
    expect(blockTokens).toBe(16);
    const orders = [1, 2, 3, 4].map((seed) =>
      planTrace(growing(3, 4, 5, 6), { ...options, seed })
        .workload.runs.map(({ id }) => id)
        .join(" "),
    );
    expect(new Set(orders).size).toBeGreaterThan(1);
  });

  it("is the number of calls asked for, taken in turns, with the first runs begun in their middle", () => {
    const { workload, notes } = planTrace(growing(40, 40, 40, 40), { ...options, calls: 60 });
    const runs = workload.runs.map(({ calls }) => calls);
    expect(runs.flat()).toHaveLength(60);
    expect(runs.slice(0, 2).some(([first]) => (first?.blocks.length ?? 1) > 1)).toBe(true);
    for (const [first] of runs.slice(2)) expect(first?.blocks).toHaveLength(1);
    expect(notes[0]).toContain("60 of the 160 calls of recorded (seed 1)");
  });

  it("scales blocks down until the longest prompt fits, and says so", () => {
    const { blockTokens, notes } = planTrace(growing(20), { ...options, longestPrompt: 100 });
    expect(blockTokens).toBe(4);
    expect(notes.join("\n")).toContain("a block of 16 tokens is played with 4");
  });

  it("ends a run before a prompt that is too long, and says so", () => {
    const { workload, notes } = planTrace(growing(20), { ...options, longestPrompt: 160, blockTokens: 16 });
    expect(workload.runs.map(({ calls }) => calls.length)).toEqual([10]);
    expect(notes.join("\n")).toContain("10 calls left out");
    expect(() => planTrace(growing(1), { ...options, longestPrompt: 8, blockTokens: 16 })).toThrow(
      "no call of recorded has a prompt of at most 8 tokens",
    );
    expect(() => planTrace(recorded([[["agent", [], 0]]]), options)).toThrow("has a prompt in blocks");
  });
});

/** A run of a chat, with calls 100 ms apart. */
const chatRun = (run: RecordedRun, startMs: number): RecordedRun => ({
  ...run,
  session: "chat",
  startMs,
  calls: run.calls.map((call, i) => ({ ...call, startMs: 100 * i, durationMs: 50 })),
});

describe("the runs of a thread", () => {
  const { runs: recordedRuns, ...rest } = growing(2, 3, 2);
  const [first, second, third] = recordedRuns as [RecordedRun, RecordedRun, RecordedRun];
  const workload = {
    ...rest,
    runs: [chatRun(second, 1000), { ...chatRun(third, 0), session: "other" }, chatRun(first, 0)],
  };

  it("are one part to play, whose calls end two runs", () => {
    const plan = planTrace(workload, { ...options, concurrency: 1 });
    expect(plan.workload.runs).toHaveLength(2);
    const chat = plan.workload.runs.find(({ session }) => session === "chat");
    expect(chat?.calls.map(({ blocks }) => blocks)).toEqual(
      [...first.calls, ...second.calls].map(({ blocks }) => blocks),
    );
    expect(chat?.calls.map((call) => plan.runEnds.has(call))).toEqual([false, true, false, false, true]);
  });

  it("are as far apart as they were, or as the longest gap", () => {
    const { workload: planned, runEnds } = planTrace(workload, options);
    const gapsOf = (gapMs: number) =>
      paceRuns(planned.runs, { seed: 1, gapMs, answerTokens: 3, runEnds })
        .find(({ recorded: run }) => run.session === "chat")
        ?.calls.slice(0, 3)
        .map((call) => [call.gapMs, call.endsRun]);
    expect(gapsOf(2000)).toEqual([
      [50, false],
      [850, true],
      [50, false],
    ]);
    expect(gapsOf(200)?.[1]).toEqual([200, true]);
  });
});

describe("the pace of recorded runs", () => {
  it("cuts recorded gaps to the longest, and draws one where none was recorded", () => {
    const [run] = growing(3).runs;
    if (!run) throw new Error("no run");
    const times = [0, 500, 5000].map((startMs) => ({ startMs, durationMs: 400 }));
    const timed = { ...run, calls: run.calls.map((call, i) => ({ ...call, ...times[i] })) };
    const [exact] = paceRuns([timed], { seed: 1, gapMs: 200, answerTokens: 3 });
    expect(exact?.calls.slice(0, 2).map(({ gapMs }) => gapMs)).toEqual([100, 200]);
    expect(exact?.calls[0]?.answerTokens).toBe(3);
    const [drawn] = paceRuns([run], { seed: 1, gapMs: 200, answerTokens: 3 });
    for (const { gapMs } of drawn?.calls ?? []) expect(Math.abs(gapMs - 200)).toBeLessThanOrEqual(100);
  });
});

describe("synthetic prompts", () => {
  it("have the same text where blocks are the same, and other text where they are not", () => {
    const texts = new Set(Array.from({ length: 5000 }, (_, block) => text.words(block, 2)));
    expect(texts.size).toBe(5000);
    expect(text.words(7, 16).startsWith(text.words(7, 2))).toBe(true);
    expect(text.words(7, 16).trim().split(" ")).toHaveLength(16);
    expect(() => text.check(text.limit + 1)).toThrow("distinct blocks");
  });

  it("are cut into messages where they part or end, the anchor being the system message", () => {
    const tree = new PromptTree(small, 16, text);
    const [first, , third] = small.runs[0]?.calls ?? [];
    if (!first || !third) throw new Error("no calls");
    const before = tree.messages(first);
    const after = tree.messages(third);
    expect(before.map(({ type }) => type)).toEqual(["system", "human"]);
    expect(after.map(({ type }) => type)).toEqual(["system", "human", "human"]);
    // The same objects: what is known of a message is known again.
    expect(after.slice(0, 2).every((message, i) => message === before[i])).toBe(true);
    expect(tree.count).toBe(20);
  });
});
