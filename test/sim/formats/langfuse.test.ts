import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { complaint, fixture, read, shared, traceFile } from "./trace-file.ts";

type Observation = Readonly<Record<string, unknown>>;

const file = fixture("langfuse-api.json");
const blob = fixture("langfuse-blob-storage.jsonl");
const recorded = JSON.parse(readFileSync(file, "utf8")) as Observation[];
const [generation] = recorded.filter(({ type }) => type === "GENERATION") as [Observation];

describe("the langfuse format", () => {
  it("reads the observations of an application as its traces", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(file);
    expect({ name, blockTokens, blockCount }).toEqual({
      name: "langfuse-api",
      blockTokens: 16,
      blockCount: 30,
    });
    expect(runs.map(({ session, startMs }) => [session, startMs])).toEqual([
      ["thread-1", 0],
      ["thread-2", 255],
    ]);
    for (const run of runs) {
      expect(run.calls.map(({ agent }) => agent)).toEqual(["planner", "coder", "coder", "review/critic"]);
      expect(run.calls.map(({ callsTools }) => callsTools)).toEqual([false, true, false, false]);
      expect(run.calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 7, 7, 2]);
    }
    expect(runs[1]?.calls[3]).toEqual({
      agent: "review/critic",
      blocks: Int32Array.of(13, 14, 25, 26, 27, 28, 29),
      anchorBlocks: 2,
      promptTokens: 193,
      outputTokens: 26,
      startMs: 94,
      durationMs: 16,
      callsTools: false,
      step: 1,
      namespace: "review|critic",
    });
  });

  it("finds in prompts what LangSmith finds", async () => {
    const [here, there] = await Promise.all([loadWorkload(file), loadWorkload(fixture("langsmith.jsonl"))]);
    const prompts = ({ runs }: typeof here) => runs.map(({ calls }) => calls.map(({ blocks }) => blocks));
    expect(prompts(here)).toEqual(prompts(there));
    expect(shared(here.runs[0]?.calls[1]?.blocks, here.runs[1]?.calls[1]?.blocks)).toBe(7);
  });

  it("reads the blob storage export", async () => {
    expect((await loadWorkload(blob)).runs).toEqual((await loadWorkload(file)).runs);
  });

  it.each<[string, readonly unknown[]]>([
    [
      "pages",
      [
        { data: recorded.slice(0, 7), meta: {} },
        { data: recorded.slice(7), meta: {} },
      ],
    ],
    ["a trace with its observations", [{ id: "t", sessionId: "thread-1", observations: recorded }]],
    ["a download of the user interface", [{ trace: { sessionId: "thread-1" }, observations: recorded }]],
  ])("reads %s", async (_, records) => {
    const { runs } = await read(records);
    expect(runs[0]).toEqual((await loadWorkload(file)).runs[0]);
    expect(runs.map(({ calls }) => calls.length)).toEqual([4, 4]);
  });

  it("adds up tokens that were cached, and takes the older usage", async () => {
    const at = {
      traceId: "t",
      type: "GENERATION",
      name: "mail",
      startTime: "2026-01-02 03:04:05.000006",
      input: "hello",
    };
    const { runs } = await read([
      {
        ...at,
        id: "1",
        usageDetails: { input: "10", input_cached_tokens: 90, output: 5, output_reasoning: 2, total: 107 },
      },
      { ...at, id: "2", usage: { input: 30, output: 4 }, usageDetails: {} },
      { ...at, id: "3", output: "four and more" },
      { ...at, id: "4", usage: { promptTokens: 31, completionTokens: 5 } },
      { ...at, id: "5", type: "generation", promptTokens: 32, completionTokens: 6 },
    ]);
    expect(runs[0]?.calls.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
      [100, 7],
      [30, 4],
      [3, 4],
      [31, 5],
      [32, 6],
    ]);
    expect(runs[0]?.calls[0]).toMatchObject({ agent: "mail", blocks: new Int32Array(0) });
  });

  it("takes the agent of the observation around a call", async () => {
    const at = { traceId: "t", startTime: "2026-01-02T03:04:05Z", input: "hello" };
    const { runs } = await read([
      { ...at, id: "c", type: "GENERATION", name: "model", parentObservationId: "s" },
      { ...at, id: "s", type: "SPAN", name: "step", parentObservationId: "a" },
      { ...at, id: "a", type: "AGENT", name: "researcher", parentObservationId: "r" },
      { ...at, id: "r", type: "CHAIN", name: "root", parentObservationId: "" },
    ]);
    expect(runs[0]?.calls[0]?.agent).toBe("researcher");
  });

  it.each([
    [{ ...generation, type: "DREAM" }, "type: Invalid option"],
    [{ ...generation, traceId: null }, "traceId: Invalid input: expected string, received null"],
    [{ ...generation, startTime: "" }, 'startTime: not a time: ""'],
    [{ ...generation, id: "g", input: null }, "input of generation g holds no messages, got null"],
    [{ ...generation, id: "g", input: { question: "?" } }, 'got {"question":"?"}'],
    [{ observations: ["id-of-one"] }, "record: Invalid input: expected object, received string"],
    [recorded[0], "is in the file twice"],
  ])("names file and line of a bad observation: %#", async (bad, problem) => {
    const error = await complaint([recorded[0], bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
    expect(error.hint).toBeTruthy();
  });

  it("counts the elements of an array instead of lines", async () => {
    const bad = traceFile(JSON.stringify([...recorded.slice(0, 4), {}]), "observations.json");
    await expect(loadWorkload(bad)).rejects.toMatchObject({ file: bad, line: 5 });
  });

  it("refuses a file without a generation", async () => {
    const error = await complaint(recorded.filter(({ type }) => type !== "GENERATION"));
    expect(error.message).toContain("no model call in");
  });
});
