import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { runProgram } from "../../src/cli/program.ts";

const folder = mkdtempSync(join(tmpdir(), "cachesage-simulate-"));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, records: readonly object[]): string {
  const file = join(folder, name);
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return file;
}

function call(session: string, agent: string, blocks: readonly (readonly [first: number, count: number])[]) {
  const tokens = blocks.reduce((sum, [, count]) => sum + 16 * count, 0);
  return {
    session,
    agent,
    prompt_tokens: tokens,
    output_tokens: 8,
    sys_tokens: 16,
    ref: -1,
    keep: 0,
    new: blocks,
  };
}

// One run: ab cd ab. In a cache of two blocks LRU hits nothing, Belady and the order oracle two of six.
const small = fileOf("small.jsonl", [
  call("1", "planner", [[0, 2]]),
  call("1", "coder", [[2, 2]]),
  call("1", "planner", [[0, 2]]),
]);

async function run(
  line: readonly string[],
  { signal = new AbortController().signal, onProgress = () => {} } = {},
) {
  const written = { stdout: "", stderr: "" };
  const exitCode = await runProgram(line, {
    stdout: (text) => void (written.stdout += text),
    stderr(text) {
      written.stderr += text;
      onProgress();
    },
    signal,
    isTTY: false,
    env: {},
  });
  return { ...written, exitCode };
}

const cell = ["--capacity", "2", "--concurrency", "1", "--seed", "1"];
const simulate = (...more: readonly string[]) =>
  run(["simulate", small, "--policy", "sieve", ...cell, ...more]);

describe("simulate", () => {
  it("prints a table and keeps progress apart from it", async () => {
    const { stdout, stderr, exitCode } = await simulate();
    expect(exitCode).toBe(0);
    for (const text of ["small: 3 calls of 1 runs", "sieve", "lru", "belady", "order-oracle", "33.3"])
      expect(stdout).toContain(text);
    expect(stderr.trimEnd().split("\n")).toHaveLength(4);
    expect(stderr).toContain("4/4 small: order-oracle, capacity 2, 1 open runs, seed 1\n");
    expect(stdout).not.toContain("Replayed");
  });

  it("keeps files of the same name apart", async () => {
    const records = [call("1", "a", [[0, 1]])];
    const [one, two] = [fileOf("app.v1.jsonl", records), fileOf("app.v2.jsonl", records)];
    const { stdout } = await run(["simulate", one, two, ...cell, "--json"]);
    const { rows } = JSON.parse(stdout) as { rows: readonly { trace: string }[] };
    expect(new Set(rows.map(({ trace }) => trace))).toEqual(new Set(["app", two]));
  });

  it("says how many calls were replayed when these are not all", async () => {
    const { stdout } = await simulate("--max-touches", "3");
    expect(stdout).toContain("Replayed 2 of these calls");
    const timed = ["1", "2"].map((id) =>
      Array.from({ length: 9 }, (_, i) => ({ ...call(id, "a", [[i, 1]]), start_ms: 100 * i })),
    );
    const late = await run(["simulate", fileOf("timed.jsonl", timed.flat()), ...cell]);
    // The seeded beginning of the run that is open first, for whose end the other one waits, lies in its middle.
    expect(late.stdout).toMatch(/Replayed 1[0-7] of these calls/);
    expect(late.stdout).toContain("in the order of their own times");
    const alone = await run(["simulate", fileOf("alone.jsonl", timed[0] ?? []), ...cell]);
    expect(alone.stdout).toContain("9 calls of 1 runs");
    expect(alone.stdout).not.toContain("Replayed");
  });

  it("prints one JSON object with a row for each policy that is listed", async () => {
    const { stdout, exitCode } = await simulate("--policy", "belady", "--baseline", "lru", "--json");
    expect(exitCode).toBe(0);
    const { rows, ...rest } = JSON.parse(stdout) as { rows: readonly Record<string, unknown>[] };
    expect(rest).toEqual({});
    expect(
      rows.map(({ policy, hit_rate, gap_closed, oracle_share }) => [
        policy,
        hit_rate,
        gap_closed,
        oracle_share,
      ]),
    ).toEqual([
      ["belady", 1 / 3, 1, 1],
      ["lru", 0, 0, 0],
    ]);
    const number = expect.any(Number) as unknown;
    expect(rows[1]).toEqual({
      trace: "small",
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
      ttft_ms: { mean: number, p50: number, p95: number, p99: number },
      calls_per_second: number,
      prefetch: { used: 0, wasted: 0 },
      decision_us: { mean: number, p99: number },
    });
  });

  it("writes the plot, a line for each policy", async () => {
    const plot = join(folder, "plot.svg");
    expect(await simulate("--plot", plot)).toMatchObject({ exitCode: 0 });
    const svg = readFileSync(plot, "utf8");
    for (const text of ["sieve", "lru", "belady", "order-oracle", "small, 1 open runs"])
      expect(svg).toContain(`>${text}</text>`);
  });

  it("exits with 3 and says so when the policy's share is below the gate", async () => {
    const { exitCode, stderr, stdout } = await simulate("--policy", "lru", "--fail-below", "92");
    expect(exitCode).toBe(3);
    expect(stdout).toContain("lru");
    expect(stderr).toContain("lru reaches 0.0 % of the gain from LRU to the order oracle, less than 92 %\n");
    expect(await simulate("--policy", "belady", "--fail-below", "92")).toMatchObject({ exitCode: 0 });
  });

  it("does not let a gate pass that nothing was measured against", async () => {
    const { exitCode, stderr } = await run([
      "simulate",
      small,
      "--policy",
      "lru",
      "--capacity",
      "4",
      "--concurrency",
      "1",
      "--fail-below",
      "0",
    ]);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("nothing to gain");
  });

  it.each([
    [["--policy", "lfru"], '[baseline] no baseline is called "lfru"'],
    [["--baseline", "lru,best"], '[baseline] no baseline is called "best"'],
    [
      ["--capacity", "half"],
      '[simulate] --capacity: expected such as 25% of the working set, 4096t tokens or 64 blocks, got "half"',
    ],
    [["--capacity", "0%"], "[simulate] --capacity"],
    [["--concurrency", "0"], "[simulate] --concurrency"],
    [["--format", "xml"], '[trace format] no trace format is called "xml"'],
    [["--plot", join(folder, "missing", "plot.svg")], "[simulate] --plot: cannot be written"],
    [["--plot", folder], "[simulate] --plot: cannot be written"],
  ])("takes the usage %j for what it is", async (more, problem) => {
    const { exitCode, stderr, stdout } = await simulate(...more);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toContain(`error: ${problem}`);
  });

  it("names the policies and the formats in its help", async () => {
    const { stdout } = await run(["simulate", "--help"]);
    for (const name of ["order-oracle", "s3-fifo", "langfuse"]) expect(stdout).toContain(name);
  });

  it("takes percentages of the working set, 3.3 blocks here, and tokens", async () => {
    const line = [
      "simulate",
      small,
      "--policy",
      "lru",
      "--capacity",
      "50%,32t",
      "--concurrency",
      "1",
      "--seed",
      "1",
      "--json",
    ];
    const { rows } = JSON.parse((await run(line)).stdout) as { rows: readonly Record<string, unknown>[] };
    expect(rows.filter(({ policy }) => policy === "lru")).toMatchObject([
      { capacity: 1, capacity_given: "50%" },
      { capacity: 2, capacity_given: "32t" },
    ]);
  });

  it("names file and line of a record that it cannot read", async () => {
    const broken = fileOf("broken.jsonl", [
      call("1", "planner", [[0, 2]]),
      { ...call("1", "coder", []), keep: 9, ref: 0 },
    ]);
    const { exitCode, stderr } = await run(["simulate", broken, "--policy", "lru"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`error: [trace] ${broken}:2: `);
    const missing = join(folder, "missing.jsonl");
    expect(await run(["simulate", missing])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`<trace>: there is no such file, got "${missing}"`) as unknown,
    });
  });

  it("stops at Ctrl-C without a table, a plot or a complaint", async () => {
    const abort = new AbortController();
    const plot = join(folder, "aborted.svg");
    const { stdout, stderr, exitCode } = await run(
      ["simulate", small, "--policy", "lru", ...cell, "--plot", plot],
      {
        signal: abort.signal,
        onProgress: () => abort.abort(),
      },
    );
    expect(exitCode).toBe(1);
    expect(stdout).toBe("");
    expect(stderr.split("\n")).toHaveLength(2);
    expect(existsSync(plot)).toBe(false);
  });
});

describe("inspect", () => {
  it("prints what it found, with a verdict", async () => {
    const { stdout, exitCode } = await run(["inspect", small]);
    expect(exitCode).toBe(0);
    for (const text of [
      "small: calls 3, runs 1, agents 2",
      "planner",
      "coder",
      "Transitions",
      "Only 3 calls",
    ])
      expect(stdout).toContain(text);
  });

  it("prints one JSON object and writes the plot", async () => {
    const plot = join(folder, "inspect.svg");
    const { stdout, exitCode } = await run(["inspect", small, "--json", "--plot", plot]);
    expect(exitCode).toBe(0);
    const found = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(found)).toEqual([
      "trace",
      "runs",
      "runs_by_status",
      "calls",
      "block_tokens",
      "schedule",
      "agents",
      "anchors",
      "reuse",
      "transitions",
      "forecast",
      "sizes",
      "verdict",
    ]);
    expect(found["reuse"]).toMatchObject({ touches: 6, first: 4 / 6, same_run: 2 / 6, other_run: 0 });
    const svg = readFileSync(plot, "utf8");
    for (const text of ["planner", "coder", "LRU", "Belady"]) expect(svg).toContain(`>${text}</text>`);
  });

  it("fails on a trace that cannot be read", async () => {
    expect(await run(["inspect", fileOf("empty.jsonl", [])])).toMatchObject({ exitCode: 1, stdout: "" });
  });
});
