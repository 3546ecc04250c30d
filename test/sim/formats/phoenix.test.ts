import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { complaint, fixture, read, traceFile } from "./trace-file.ts";

type Span = Readonly<Record<string, unknown>>;

const api = fixture("phoenix-api.json");
const frame = fixture("phoenix-data-frame.jsonl");
const spans = (JSON.parse(readFileSync(api, "utf8")) as { data: Span[] }).data;
const [call] = spans.filter((one) => one["span_kind"] === "LLM") as [Span];

describe("the phoenix format", () => {
  it("reads a page of the API", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(api);
    expect({ name, blockTokens, blockCount }).toEqual({
      name: "phoenix-api",
      blockTokens: 16,
      blockCount: 24,
    });
    expect(runs).toHaveLength(1);
    expect(runs[0]).toMatchObject({
      id: "2429f132c96e6a60f4e55e3312899c5e",
      session: "thread-1",
      startMs: 0,
      durationMs: 50,
      status: "failed",
    });
    expect(runs[0]?.calls).toEqual([
      {
        agent: "planner",
        blocks: Int32Array.of(15, 16, 17, 18, 19, 20, 21, 22, 23),
        anchorBlocks: 2,
        promptTokens: 229,
        outputTokens: 25,
        startMs: 18,
        durationMs: 6,
        callsTools: false,
        step: 6,
        namespace: "planner",
      },
      {
        agent: "coder",
        blocks: Int32Array.from({ length: 15 }, (_, index) => index),
        anchorBlocks: 7,
        promptTokens: 256,
        outputTokens: 0,
        startMs: 41,
        durationMs: 6,
        callsTools: false,
        step: 1,
        namespace: "coder|model_request",
      },
    ]);
  });

  it("finds in the run what its export as OTLP/JSON holds", async () => {
    const [{ runs: here }, { runs: there }] = await Promise.all([
      loadWorkload(api),
      loadWorkload(fixture("openinference.jsonl")),
    ]);
    const same = there.find(({ id }) => id === here[0]?.id);
    const told = (run: typeof same) =>
      run?.calls.map(({ blocks, durationMs, startMs, ...rest }) => ({
        ...rest,
        blocks: blocks.length,
        startMs: Math.round(startMs ?? 0),
        durationMs: Math.trunc(durationMs ?? 0),
      }));
    expect(told(here[0])).toEqual(told(same));
  });

  it("reads what pandas writes of the client's data frame", async () => {
    expect((await loadWorkload(frame)).runs).toEqual((await loadWorkload(api)).runs);
  });

  it.each<[string, readonly unknown[] | string]>([
    ["spans alone", spans],
    ["one array of spans", JSON.stringify(spans)],
    ["traces with their spans", [{ traceId: "t", spans }]],
    [
      "pages",
      [
        { data: spans.slice(0, 3), next_cursor: "x" },
        { data: spans.slice(3), next_cursor: null },
      ],
    ],
  ])("reads %s", async (_, content) => {
    const { runs } = await loadWorkload(traceFile(content));
    expect(runs).toEqual((await loadWorkload(api)).runs);
  });

  it.each([
    [{ ...call, context: { trace_id: "t" } }, "context.span_id: Invalid input"],
    [{ ...call, span_kind: null }, "span_kind: Invalid input: expected string, received null"],
    [{ ...call, start_time: "noon" }, 'start_time: not a time: "noon"'],
    [{ ...call, attributes: [] }, "attributes: Invalid input"],
    [
      { ...call, context: { trace_id: "t", span_id: "c" }, attributes: {} },
      "span c (ChatOpenAI) holds no messages",
    ],
    [spans[0], "is in the file twice"],
  ])("names file and line of a bad span: %#", async (bad, problem) => {
    const error = await complaint([spans[0], bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
    expect(error.hint).toBeTruthy();
  });

  it("refuses a file without a model call", async () => {
    const error = await complaint(spans.filter((one) => one["span_kind"] !== "LLM"));
    expect(error.message).toContain("no model call in");
  });

  it("has fixtures that hold nothing of the machine that made them", () => {
    for (const name of [api, frame])
      expect(readFileSync(name, "utf8")).not.toMatch(/host\.name|process\.(pid|command)|node_modules|file:/);
  });

  it("is told from others by the first span", async () => {
    await expect(read([{ data: [{ name: "x", span_kind: "LLM" }] }])).rejects.toThrow("of no known format");
  });
});
