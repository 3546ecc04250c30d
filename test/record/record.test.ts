import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../src/sim/load.ts";
import { ScriptedServer } from "../langgraph/scripted-server.ts";
import { app, builtPackage, run } from "./build.ts";

const { cachesage, entry, file } = builtPackage();

function record(out: string, ...command: readonly string[]) {
  return cachesage(["record", "--out", out, "--", process.execPath, ...command]);
}

describe("a recorded app", () => {
  it("is recorded run by run, without a text, and runs as ever", async () => {
    const out = file("team.jsonl");
    const ended = await record(out, app("team"), "a,b", " c ", "--json", "--", "-d");
    expect(ended).toMatchObject({ code: 7, stderr: expect.stringContaining(`wrote ${out}`) as string });
    expect(JSON.parse(ended.stdout)).toEqual({
      words: ["a,b", " c ", "--json", "--", "-d"],
      error: "out of patience",
      own: "kept",
    });
    expect(readFileSync(out, "utf8")).not.toMatch(/secret|alice|rules|answer/i);

    const { runs, blockTokens } = await loadWorkload(out);
    expect(blockTokens).toBe(16);
    expect(runs.map(({ status, calls }) => [status, calls.map(({ agent }) => agent)])).toEqual([
      ["interrupted", ["planner", "worker", "worker"]],
      ["completed", ["publish/writer", "publish/editor"]],
      ["failed", ["critic"]],
    ]);
    const [first, resumed, failed] = runs;
    expect(first?.session).toMatch(/^[\da-f]{16}$/);
    expect([resumed?.session, failed?.session]).toEqual([first?.session, undefined]);
    expect(first?.calls.map(({ step }) => step)).toEqual([1, 2, 2]);
    expect(resumed?.calls.map(({ namespace }) => namespace)).toEqual(["publish|writer", "publish|editor"]);

    const [planner, slow, quick] = first?.calls ?? [];
    // The slow worker started first and ended last.
    expect(slow?.durationMs).toBeGreaterThan(quick?.durationMs ?? Number.POSITIVE_INFINITY);
    expect(slow?.blocks).toEqual(quick?.blocks);
    expect(planner).toMatchObject({ callsTools: false, outputTokens: 7 });
    // Its rules of 456 characters and the frame are the anchor.
    expect(planner?.anchorBlocks).toBe(7);
    expect(planner?.blocks.length).toBe(11);
    expect(first?.durationMs).toBeGreaterThan(50);
  });

  it("sends the bytes that it sends alone, whether cachesage is in it or not", async () => {
    await using server = await ScriptedServer.start(({ body }) =>
      body.messages?.at(-1)?.role === "user"
        ? { tool: { name: "look", arguments: {} } }
        : { text: "All quiet.", cached: 5 },
    );
    const out = file("agent.jsonl.gz");
    const bodies = () => server.requests.splice(0).map(({ raw }) => raw.replaceAll(/call_\w+/g, "call"));
    expect((await run([app("open-ai"), server.url])).stderr).toBe("");
    const alone = bodies();
    await record(out, app("open-ai"), server.url);
    expect(bodies()).toEqual(alone);
    expect(existsSync(`${out}.part`)).toBe(false);
    const text = gunzipSync(readFileSync(out)).toString();
    expect(text).not.toMatch(/scout\.|quiet|Look/);
    const { runs } = await loadWorkload(out);
    const usage = text.includes('"tok":"usage"');
    expect({ runs: runs.length, usage }).toEqual({ runs: 1, usage: true });
    expect(runs[0]?.calls.map(({ agent, callsTools }) => [agent, callsTools])).toEqual([
      ["scout", true],
      ["scout", false],
    ]);

    const beside = await record(out, app("open-ai"), server.url, entry);
    expect(JSON.parse(beside.stdout)).toEqual(["request-end", "request-end"]);
    expect(bodies()).toEqual(alone);
    const again = await loadWorkload(out);
    expect(again.runs.map(({ calls }) => calls.map(({ agent }) => agent))).toEqual([["scout", "scout"]]);
    // Another recording has another key.
    expect(gunzipSync(readFileSync(out)).toString()).not.toContain(/\[\d+/.exec(text)?.[0]);
  });

  it("keeps what ended before Ctrl-C", async () => {
    const out = file("killed.jsonl");
    const ended = await cachesage(["record", "--out", out, process.execPath, app("waiting")], (_, kill) =>
      kill("SIGINT"),
    );
    expect(ended).toMatchObject({ code: 130, stdout: "waiting\n" });
    const { runs } = await loadWorkload(out);
    expect(runs.map(({ status, calls }) => [status, calls.length])).toEqual([[undefined, 1]]);
  });

  it("keeps a call that is open when the app leaves", async () => {
    const out = file("left.jsonl");
    expect((await record(out, app("waiting"), "leave")).code).toBe(4);
    const [left] = (await loadWorkload(out)).runs;
    expect(left?.calls.map(({ agent, durationMs }) => [agent, durationMs !== undefined])).toEqual([
      ["quick", true],
      ["slow", false],
    ]);
    expect(left?.calls[1]?.blocks.length).toBeGreaterThan(0);
  });

  it("can be inspected and simulated", async () => {
    const trace = file("team.jsonl");
    const inspected = await cachesage(["inspect", trace, "--json"]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      calls: 6,
      runs_by_status: { interrupted: 1, completed: 1, failed: 1 },
    });
    const cell = "--capacity 50% --concurrency 2 --seed 1 --json".split(" ");
    const simulated = await cachesage(["simulate", trace, ...cell]);
    const { rows } = JSON.parse(simulated.stdout) as { rows: { policy: string }[] };
    expect(rows.map(({ policy }) => policy)).toEqual(["cachesage", "lru", "belady", "order-oracle"]);
  });
});

describe("record", () => {
  it("prints one JSON object with --json, and the app's own output beside it", async () => {
    const out = file("told.jsonl");
    const ended = await cachesage(["record", "--out", out, "--json", process.execPath, app("team"), "x"]);
    expect(ended.code).toBe(7);
    expect(JSON.parse(ended.stdout)).toEqual({ out, calls: 6, runs: 3, agents: 5, exit_code: 7 });
    expect(ended.stderr).toContain('"own":"kept"');
    expect(ended.stderr).toContain("calls 6, runs 3, agents 5");
  });

  it("says why nothing may have been seen, and exits as the app did", async () => {
    const words = ["record", "--out", file("none.jsonl"), process.execPath];
    const script = "console.log(process.env.NODE_OPTIONS); process.exitCode = 5";
    const options = { NODE_OPTIONS: "--no-deprecation" };
    const { code, stdout, stderr } = await cachesage([...words, "-e", script], undefined, options);
    expect(code).toBe(5);
    expect(stdout).toMatch(/^--no-deprecation --import=file:/);
    expect(stderr).toContain("no model call was seen");
    expect(stderr).toContain("NODE_OPTIONS");
  });

  it("leaves it to the app what a signal does", async () => {
    const script =
      "process.on('SIGTERM', () => process.exit(9)); setTimeout(() => {}, 60_000); console.log('up')";
    const words = ["record", "--out", file("own.jsonl"), process.execPath, "-e", script];
    expect(await cachesage(words, (_, kill) => kill("SIGTERM"))).toMatchObject({ code: 9 });
  });

  it.each([
    [["--out", "OUT"], "error: [record] <command>: nothing to run"],
    [["--out", "OUT", "--", "no-such-command"], '<command>: no such command, got "no-such-command"'],
    [["--out", "missing/trace.jsonl", "--", "node"], '--out: cannot be written, got "missing/trace.jsonl"'],
  ])("complains before anything runs, and leaves an older trace alone: %j", async (words, problem) => {
    const out = file("older.jsonl");
    writeFileSync(out, "older");
    const { code, stderr } = await cachesage([
      "record",
      ...words.map((word) => (word === "OUT" ? out : word)),
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(problem);
    expect(stderr.trimEnd().split("\n")).toHaveLength(2);
    expect(readFileSync(out, "utf8")).toBe("older");
  });
});
