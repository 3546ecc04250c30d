import { describe, expect, it } from "vitest";
import { complaint, read } from "./trace-file.ts";

const call = {
  session: "a",
  agent: "one",
  prompt_tokens: 40,
  output_tokens: 3,
  ref: -1,
  keep: 0,
  new: [[7, 3]],
};

describe("the cachesage format", () => {
  it("builds prompts from deltas against earlier calls of the session", async () => {
    const { blockTokens, blockCount, runs } = await read([
      call,
      {
        ...call,
        agent: "two",
        ref: 0,
        keep: 2,
        new: [
          [20, 2],
          [7, 1],
        ],
      },
      { ...call, ref: 1, keep: 5, new: [] },
      { ...call, ref: 0, keep: 1, new: [[30, 1]] },
      { ...call, session: "b", new: [[8, 1]] },
    ]);
    expect({ blockTokens, blockCount }).toEqual({ blockTokens: 16, blockCount: 8 });
    expect(runs.map(({ id, calls }) => [id, calls.map(({ blocks }) => [...blocks])])).toEqual([
      [
        "a",
        [
          [0, 1, 2],
          [0, 1, 3, 4, 6],
          [0, 1, 3, 4, 6],
          [0, 5],
        ],
      ],
      ["b", [[7]]],
    ]);
    expect(runs[0]?.calls.map(({ agent }) => agent)).toEqual(["one", "two", "one", "one"]);
    expect(runs[0]?.calls[0]).toEqual({
      agent: "one",
      blocks: Int32Array.of(0, 1, 2),
      anchorBlocks: 0,
      promptTokens: 40,
      outputTokens: 3,
    });
  });

  it("keeps local ids apart between sessions", async () => {
    const local = { ...call, prompt: "hash_ids64", sys_tokens: 130 };
    const { blockTokens, blockCount, runs } = await read([local, { ...local, session: "b" }]);
    expect({ blockTokens, blockCount }).toEqual({ blockTokens: 64, blockCount: 6 });
    expect(runs.map(({ calls }) => [...(calls[0]?.blocks ?? [])])).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(runs[0]?.calls[0]?.anchorBlocks).toBe(2);
  });

  it("reads what a recording adds", async () => {
    const { blockTokens, runs } = await read([
      {
        ...call,
        block_tokens: 32,
        sys_tokens: 500,
        start_ms: 4,
        dur_ms: 9,
        run_start_ms: 100,
        thread: "t",
        superstep: 2,
        namespace: "team|one",
        calls_tools: true,
        stop: "end_turn",
      },
      { ...call, block_tokens: 32, stop: "tool_use" },
    ]);
    expect(blockTokens).toBe(32);
    expect(runs[0]).toMatchObject({ id: "a", startMs: 100, session: "t" });
    expect(runs[0]?.calls[0]).toMatchObject({
      anchorBlocks: 3,
      startMs: 4,
      durationMs: 9,
      step: 2,
      namespace: "team|one",
      callsTools: true,
    });
    expect(runs[0]?.calls[1]?.callsTools).toBe(true);
  });

  it("reads how a recorded run ended, and its calls in the order of their start", async () => {
    const recorded = { ...call, run_start_ms: 5 };
    const { runs } = await read([
      { ...recorded, agent: "quick", start_ms: 9, dur_ms: 1 },
      { ...recorded, agent: "slow", start_ms: 4, dur_ms: 30, ref: 0, keep: 2, new: [] },
      { session: "a", end_ms: 40.5, status: "interrupted" },
      { ...recorded, session: "b" },
    ]);
    expect(runs.map(({ status, durationMs }) => [status, durationMs])).toEqual([
      ["interrupted", 40.5],
      [undefined, undefined],
    ]);
    expect(runs[0]?.calls.map(({ agent, blocks }) => [agent, blocks.length])).toEqual([
      ["slow", 2],
      ["quick", 3],
    ]);
  });

  it("takes a call that was under way when its run ended, and nothing else after an end", async () => {
    const end = { session: "a", end_ms: 40, status: "completed" };
    const late = { ...call, start_ms: 39, dur_ms: 5 };
    const { runs } = await read([{ ...call, start_ms: 1 }, end, late]);
    expect(runs[0]?.calls).toHaveLength(2);
    for (const [bad, problem] of [
      [end, "session a has ended on line 2"],
      [{ ...call, start_ms: 41 }, "call of session a, which has ended on line 2"],
      [call, "call of session a, which has ended on line 2"],
    ] as const) {
      const error = await complaint([{ ...call, start_ms: 1 }, end, bad]);
      expect(error.message).toContain(`:3: ${problem}`);
      expect(error.hint).toContain("another session");
    }
  });

  it.each([
    [{ session: "a", end_ms: 4, status: "lost" }, "status: Invalid option"],
    [{ session: "b", end_ms: 4, status: "failed" }, "end of session b, of which no call came before"],
    [{ ...call, agent: 7 }, "agent: Invalid input: expected string, received number"],
    [{ ...call, new: [[1, -1]] }, "new.0.1: Too small"],
    [{ ...call, ref: 1 }, "ref 1, but the session has 1 earlier calls"],
    [{ ...call, session: "b", ref: 0 }, "ref 0, but the session has 0 earlier calls"],
    [{ ...call, ref: 0, keep: 4 }, "keep 4, but call 0 has 3 blocks"],
    [{ ...call, prompt: "hash_ids64" }, "blocks of 64 tokens, but of 16 on earlier lines"],
  ])("names file and line of a bad call: %#", async (bad, problem) => {
    const error = await complaint([call, bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
  });
});
