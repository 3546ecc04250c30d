import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { complaint, fixture, read, shared, traceFile } from "./trace-file.ts";

type Run = Record<string, unknown> & { readonly extra: Record<string, unknown> };

const file = fixture("langsmith.jsonl");
const recorded = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Run);
const calls = recorded.filter(({ run_type }) => run_type === "llm");
const [call] = calls as [Run];

describe("the langsmith format", () => {
  it("reads the runs of an application as its traces", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(file);
    expect({ name, blockTokens, blockCount }).toEqual({ name: "langsmith", blockTokens: 16, blockCount: 30 });
    expect(runs.map(({ session, startMs }) => [session, startMs])).toEqual([
      ["thread-1", 0],
      ["thread-2", 341],
    ]);
    expect(runs.map(({ id }) => id)).toEqual([...new Set(recorded.map(({ trace_id }) => trace_id))]);
    for (const run of runs) {
      expect(run.calls.map(({ agent }) => agent)).toEqual(["planner", "coder", "coder", "review/critic"]);
      expect(run.calls.map(({ callsTools }) => callsTools)).toEqual([false, true, false, false]);
      expect(run.calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 7, 7, 2]);
    }
  });

  it("keeps tokens, times and place of a call", async () => {
    const { runs } = await loadWorkload(file);
    expect(runs[0]?.calls[2]).toEqual({
      agent: "coder",
      blocks: Int32Array.of(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
      anchorBlocks: 7,
      promptTokens: 246,
      outputTokens: 28,
      startMs: 195,
      durationMs: 38,
      callsTools: false,
      step: 3,
      namespace: "coder|model_request",
    });
  });

  it("finds what prompts share within a run and across runs", async () => {
    const { runs } = await loadWorkload(file);
    const [first, second] = runs.map((run) => run.calls.map(({ blocks }) => blocks));
    expect(shared(first?.[1], first?.[2])).toBe(9);
    expect(first?.map((blocks, index) => shared(blocks, second?.[index]))).toEqual([2, 7, 7, 2]);
    expect(shared(first?.[0], first?.[1])).toBe(0);
  });

  it.each([
    ["as one array", JSON.stringify(recorded), "runs.json"],
    ["gzipped", gzipSync(readFileSync(file)), "runs.jsonl.gz"],
    ["gzipped as one array", gzipSync(JSON.stringify(recorded)), "runs.json.gz"],
  ])("reads the same runs %s", async (_, content, name) => {
    const { runs } = await loadWorkload(traceFile(content, name));
    expect(runs).toEqual((await loadWorkload(file)).runs);
  });

  it("reads the runs that client.runs.query gives", async () => {
    const newer = recorded.map(({ parent_run_id: parent, extra: { metadata, ...extra }, ...run }) => ({
      ...run,
      run_type: String(run["run_type"]).toUpperCase(),
      parent_run_ids: parent ? [run["trace_id"], parent] : [],
      extra,
      metadata,
    }));
    expect((await read(newer)).runs).toEqual((await loadWorkload(file)).runs);
  });

  it("reads pages, runs inside of others, and fields that are JSON texts", async () => {
    const expected = (await loadWorkload(file)).runs;
    expect((await read([{ runs: recorded, cursors: { next: null } }])).runs).toEqual(expected);
    const roots = recorded.filter(({ parent_run_id }) => parent_run_id === null);
    const nested = roots.map((root) => {
      const [first, ...others] = recorded.filter(
        (run) => run !== root && run["trace_id"] === root["trace_id"],
      );
      return { ...root, child_runs: [{ ...first, child_runs: others }] };
    });
    expect((await read(nested)).runs).toEqual(expected);
    const texts = recorded.map(({ inputs, outputs, extra, ...run }) => ({
      ...run,
      inputs: JSON.stringify(inputs),
      outputs: JSON.stringify(outputs),
      extra: JSON.stringify(extra),
    }));
    expect((await read(texts)).runs).toEqual(expected);
  });

  it("reads calls outside of LangGraph, without tokens, and of completion models", async () => {
    const at = { start_time: "2026-01-02T03:04:05.5", end_time: null };
    const { runs } = await read([
      { id: "r", trace_id: "r", name: "answer-mail", run_type: "chain", ...at, inputs: {} },
      {
        id: "c",
        trace_id: "r",
        parent_run_id: "r",
        name: "OpenAI",
        run_type: "llm",
        ...at,
        inputs: { prompts: ["x".repeat(100)] },
        outputs: { generations: [[{ text: "y".repeat(9) }]] },
        prompt_tokens: 0,
        completion_tokens: 0,
      },
    ]);
    const own = runs[0]?.calls[0];
    expect(own).toMatchObject({
      agent: "answer-mail",
      anchorBlocks: 0,
      promptTokens: 27,
      outputTokens: 3,
      startMs: 0,
    });
    expect(own?.blocks).toHaveLength(1);
    expect(own).not.toHaveProperty("durationMs");
    expect(runs[0]).not.toHaveProperty("session");
  });

  it("counts a call once that two observers saw", async () => {
    const inner = { ...call, id: "inner", parent_run_id: call["id"], inputs: {} };
    const { runs } = await read([inner, ...recorded]);
    expect(runs[0]?.calls).toHaveLength(4);
  });

  it.each([
    [{ ...call, run_type: "daydream" }, "run_type: Invalid option"],
    [{ ...call, trace_id: undefined }, "trace_id: Invalid input: expected string, received undefined"],
    [{ ...call, start_time: "yesterday" }, 'start_time: not a time: "yesterday"'],
    [{ ...call, prompt_tokens: -1 }, "prompt_tokens: Too small"],
    [recorded[1], "is in the file twice"],
    [{ ...call, id: "c", parent_run_id: null, inputs: {} }, "inputs of llm run c hold no messages, got {}"],
    [{ ...call, id: "c", inputs: { messages: [[{ text: "hm" }]] } }, "inputs of llm run c hold no messages"],
    [{ ...call, id: "c", inputs: { prompts: ["a", "b"] } }, "inputs of llm run c hold no messages"],
  ])("names file and line of a bad run: %#", async (bad, problem) => {
    const error = await complaint([...recorded.slice(0, 2), bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 3 });
    expect(error.message).toContain(`${error.file}:3: `);
    expect(error.message).toContain(problem);
    expect(error.hint).toBeTruthy();
  });

  it("refuses a file without a model call", async () => {
    const error = await complaint(recorded.filter(({ run_type }) => run_type !== "llm"));
    expect(error.message).toContain("no model call in 12 records");
    expect(error.line).toBe(0);
  });
});
