import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { TraceError, UnknownNameError } from "../../../src/errors.ts";
import { loadWorkload } from "../../../src/sim/load.ts";
import { fixture, traceFile } from "./trace-file.ts";

const request = { timestamp: 0, input_length: 600, output_length: 5, hash_ids: [1] };
const call = {
  session: "a",
  agent: "x",
  prompt_tokens: 4,
  output_tokens: 3,
  ref: -1,
  keep: 0,
  new: [[7, 3]],
};

describe("loading a workload", () => {
  it.each([
    ["langfuse-api.json", 16, 8],
    ["langfuse-blob-storage.jsonl", 16, 8],
    ["langsmith.jsonl", 16, 8],
    ["openllmetry.json", 16, 3],
    ["opentelemetry.jsonl", 16, 8],
    ["weka.jsonl", 64, 5],
  ])("knows the format of %s by its first record", async (name, blockTokens, calls) => {
    const workload = await loadWorkload(fixture(name));
    expect(workload.blockTokens).toBe(blockTokens);
    expect(workload.runs.flatMap((run) => run.calls)).toHaveLength(calls);
  });

  it.each([
    ["lines", `${JSON.stringify(request)}\r\n\n${JSON.stringify(request)}`, 2],
    ["one array", ` \n[${JSON.stringify(request)}]`, 1],
    ["one object over many lines", JSON.stringify(request, null, 2), 1],
  ])("reads %s, gzipped or not", async (_, content, count) => {
    for (const [bytes, name] of [
      [content, "trace.json"],
      [gzipSync(content), "trace.json.gz"],
    ] as const)
      expect((await loadWorkload(traceFile(bytes, name))).runs).toHaveLength(count);
  });

  it.each([
    ["gzipped under a plain name", gzipSync(JSON.stringify(request)), "trace.jsonl"],
    ["plain under the name of a gzipped one", JSON.stringify(request), "trace.jsonl.gz"],
    ["with a byte order mark", `\uFEFF${JSON.stringify(request)}\r\n`, "trace.jsonl"],
    ["one array with a byte order mark", `\uFEFF[${JSON.stringify(request)}]`, "trace.json"],
    [
      "many lines, ended as on Windows",
      JSON.stringify(request, null, 2).replaceAll("\n", "\r\n"),
      "trace.json",
    ],
    ["gzipped in two pieces", Buffer.concat([gzipSync(JSON.stringify(request)), gzipSync("\n")]), "trace.gz"],
  ])("reads a file %s", async (_, content, name) => {
    expect((await loadWorkload(traceFile(content, name))).runs).toHaveLength(1);
  });

  it.each([
    ["", "holds no record"],
    ["\n \r\n", "holds no record"],
    [gzipSync(""), "holds no record"],
    [gzipSync(JSON.stringify(request)).subarray(0, 20), "cannot be read: unexpected end of file"],
  ])("says what is wrong with an empty or cut file", async (content, problem) => {
    await expect(loadWorkload(traceFile(content))).rejects.toThrow(problem);
  });

  it("says that a folder is none", async () => {
    await expect(loadWorkload(import.meta.dirname)).rejects.toThrow("is a folder, not a trace file");
  });

  it.skipIf(process.platform === "win32")("says that a pipe is none", async () => {
    const pipe = `${traceFile("")}.pipe`;
    execFileSync("mkfifo", [pipe]);
    // Held open both ways, so that nobody waits for a writer.
    const held = openSync(pipe, "r+");
    await expect(loadWorkload(pipe)).rejects.toThrow("is a pipe, and is read more than once");
    closeSync(held);
  });

  it("names the workload after the file", async () => {
    const workload = await loadWorkload(traceFile([request], "mail.2026-01.jsonl"));
    expect(workload.name).toMatch(/^\d+-mail\.2026-01$/);
  });

  it("reads block ids in range, all of them used", async () => {
    const { blockCount, runs } = await loadWorkload(
      traceFile([call, { ...call, session: "b", new: [[1, 2]] }]),
    );
    const used = new Set(runs.flatMap((run) => run.calls.flatMap(({ blocks }) => [...blocks])));
    expect([...used].toSorted((a, b) => a - b)).toEqual(Array.from({ length: blockCount }, (_, id) => id));
  });

  it("takes a block for another one after another beginning, as engines do", async () => {
    const prompts = [
      [5, 7, 9],
      [7, 9],
      [5, 7, 9, 7, 9],
      [7, 9, 5],
    ];
    const records = prompts.map((hash_ids, timestamp) => ({ ...request, timestamp, hash_ids }));
    const { blockCount, runs } = await loadWorkload(traceFile(records));
    expect(runs.map((run) => [...(run.calls[0]?.blocks ?? [])])).toEqual([
      [0, 1, 2],
      [3, 4],
      [0, 1, 2, 5, 6],
      [3, 4, 7],
    ]);
    expect(blockCount).toBe(8);
  });

  it("takes the format that it is told", async () => {
    await expect(loadWorkload(traceFile([request]), "weka")).rejects.toThrow("tool_tokens: Invalid input");
    await expect(loadWorkload(traceFile([request]), "mooncake")).resolves.toMatchObject({ blockTokens: 512 });
    await expect(loadWorkload(traceFile([request]), "nothing")).rejects.toThrow(UnknownNameError);
  });

  it.each<[string, string | Uint8Array, number, string]>([
    ["is of no format", '{"a":1}', 1, 'of no known format, got {"a":1}'],
    ["is empty", "\n\n", 0, "holds no record"],
    ["is an empty array", "[]", 0, "holds no record"],
    ["is not JSON on a line", `${JSON.stringify(request)}\n\n{"timestamp":`, 3, "not JSON: "],
    ["is not JSON from the start", "timestamp,input_length", 1, "not JSON: "],
    ["is a broken array", '[{"timestamp":1},', 1, "not JSON: "],
    [
      "has a prompt that no memory can hold",
      [call, { ...call, new: [[0, 1e12]] }].map((one) => JSON.stringify(one)).join("\n"),
      2,
      "cannot be read: Invalid array length",
    ],
  ])("says which line of which file is at fault when it %s", async (_, content, line, problem) => {
    const file = traceFile(content);
    const error: unknown = await loadWorkload(file).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TraceError);
    expect(error).toMatchObject({ file, line });
    expect((error as TraceError).message).toContain(problem);
  });

  it("refuses a file without a call also when its format is told", async () => {
    await expect(loadWorkload(traceFile(""), "cachesage")).rejects.toThrow("holds no model call");
    await expect(loadWorkload(traceFile("[]"), "mooncake")).rejects.toThrow("holds no model call");
  });

  it("stops reading when it is aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(loadWorkload(traceFile([request]), undefined, signal)).rejects.toThrow("enough");
    await expect(loadWorkload(traceFile([request]), "mooncake", signal)).rejects.toThrow("enough");
  });

  it("says that a file is missing or no trace, whatever its name", async () => {
    await expect(loadWorkload(fixture("missing.jsonl"))).rejects.toThrow(
      "missing.jsonl: cannot be read: ENOENT",
    );
    await expect(loadWorkload(fixture("missing.jsonl.gz"))).rejects.toThrow("cannot be read: ENOENT");
    await expect(loadWorkload(traceFile("plain", "trace.jsonl.gz"))).rejects.toThrow(
      "trace.jsonl.gz:1: not JSON",
    );
  });

  it("lists the formats that there are", async () => {
    await expect(loadWorkload(traceFile("{}"))).rejects.toThrow(
      "Formats are: cachesage, langfuse, langsmith, mooncake, opentelemetry, phoenix, weka.",
    );
  });
});
