import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { complaint, fixture, read, shared, traceFile } from "./trace-file.ts";

const file = fixture("weka.jsonl");
const [first, second] = readFileSync(file, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Record<string, unknown>) as [
  Record<string, unknown>,
  Record<string, unknown>,
];
const request = { t: 0, type: "n", in: 130, out: 1, hash_ids: [1, 2] };
const trace = {
  id: "a",
  block_size: 64,
  hash_id_scope: "local",
  tool_tokens: 0,
  system_tokens: 0,
  requests: [request],
};
const subagent = {
  t: 1,
  type: "subagent",
  subagent_type: "Plan",
  tool_tokens: 0,
  system_tokens: 0,
  requests: [request],
};

describe("the weka format", () => {
  it("reads conversations with their sub-agents, in order of time", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(file);
    expect({ name, blockTokens, blockCount }).toEqual({ name: "weka", blockTokens: 64, blockCount: 14 });
    expect(runs.map(({ id, session, startMs }) => [id, session, startMs])).toEqual([
      ["trace_0001", undefined, undefined],
      ["trace_0002", undefined, undefined],
    ]);
    expect(runs[0]?.calls.map(({ agent, startMs, durationMs }) => [agent, startMs, durationMs])).toEqual([
      ["main", 0, 2500],
      ["Explore", 4250, 1750],
      ["main", 8000, undefined],
      ["Explore", 10250, 2000],
    ]);
    expect(runs[0]?.calls.map(({ callsTools }) => callsTools)).toEqual([true, true, false, false]);
    expect(runs[0]?.calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 1, 2, 1]);
    expect(runs[0]?.calls[0]).toMatchObject({ promptTokens: 330, outputTokens: 40 });
  });

  it("keeps local block ids inside of their conversation", async () => {
    const { runs } = await loadWorkload(file);
    const [main, explore, later] = runs[0]?.calls.map(({ blocks }) => blocks) ?? [];
    expect(shared(main, later)).toBe(5);
    expect(shared(explore, runs[0]?.calls[3]?.blocks)).toBe(3);
    expect(shared(main, runs[1]?.calls[0]?.blocks)).toBe(0);
  });

  it.each([
    ["local", 4, [2, 0]],
    ["global", 2, [2, 2]],
    [undefined, 8, [0, 0]],
  ])("shares block ids of scope %s as far as they hold", async (scope, count, sharing) => {
    const one = { ...trace, hash_id_scope: scope, requests: [request, subagent] };
    const { blockCount, runs } = await read([one, { ...one, id: "b" }]);
    expect(blockCount).toBe(count);
    const [a, b] = runs.map(({ calls }) => calls.map(({ blocks }) => blocks));
    expect([shared(a?.[0], a?.[1]), shared(a?.[0], b?.[0])]).toEqual(sharing);
  });

  it("reads one trace as published, also indented", async () => {
    const [plain, indented] = [JSON.stringify(first), JSON.stringify(first, null, 2)];
    const expected = (await loadWorkload(file)).runs.slice(0, 1);
    expect((await loadWorkload(traceFile(plain, "trace_0001.json"))).runs).toEqual(expected);
    expect((await loadWorkload(traceFile(indented, "trace_0001.json"))).runs).toEqual(expected);
  });

  it.each([
    [{ ...second, hash_id_scope: "lunar" }, "hash_id_scope: Invalid option"],
    [
      { ...second, requests: [{ ...request, hash_ids: [1.5] }] },
      "requests.0.hash_ids.0: Invalid input: expected int",
    ],
    [
      { ...second, requests: [{ ...request, type: "daydream" }] },
      "requests.0.type: Invalid discriminator value",
    ],
    [{ ...second, requests: [{ ...subagent, requests: [{}] }] }, "requests.0.requests.0.type"],
    [{ ...second, requests: [] }, "trace trace_0002 holds no request"],
    [{ ...second, block_size: 16 }, "blocks of 16 tokens, but of 64 on earlier lines"],
    [first, "trace trace_0001 is in the file twice"],
  ])("names file and line of a bad trace: %#", async (bad, problem) => {
    const error = await complaint([first, bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
  });
});
