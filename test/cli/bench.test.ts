import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Agreement } from "../../src/bench/agreement.ts";
import { agreementTable } from "../../src/bench/agreement-table.ts";
import { runProgram } from "../../src/cli/program.ts";

const folder = mkdtempSync(join(tmpdir(), "cachesage-bench-"));
const before = process.env["XDG_CACHE_HOME"];
beforeAll(() => void (process.env["XDG_CACHE_HOME"] = folder));
afterAll(() => {
  if (before === undefined) delete process.env["XDG_CACHE_HOME"];
  else process.env["XDG_CACHE_HOME"] = before;
  rmSync(folder, { recursive: true });
});

/** A call whose prompt is blocks as runs of [first, count]; its anchor is the first two. */
function call(session: string, agent: string, blocks: readonly (readonly [number, number])[]) {
  const tokens = blocks.reduce((sum, [, count]) => sum + 16 * count, 0);
  return {
    session,
    agent,
    prompt_tokens: tokens,
    output_tokens: 3,
    sys_tokens: 32,
    ref: -1,
    keep: 0,
    new: blocks,
  };
}

// Two runs of a planner and a coder; a run's history grows by two blocks a call.
const trace = join(folder, "team.jsonl");
writeFileSync(
  trace,
  ["1", "2"]
    .flatMap((session, run) =>
      [0, 1, 2, 3].map((step) =>
        call(session, step % 2 === 0 ? "planner" : "sub:coder", [
          [step % 2 === 0 ? 0 : 2, 2],
          [100 * (run + 1), 2 * step + 2],
        ]),
      ),
    )
    .map((record) => `${JSON.stringify(record)}\n`)
    .join(""),
);

async function bench(...line: readonly string[]) {
  const written = { stdout: "", stderr: "" };
  const exitCode = await runProgram(["bench", ...line], {
    stdout: (text) => void (written.stdout += text),
    stderr: (text) => void (written.stderr += text),
    signal: new AbortController().signal,
    isTTY: false,
    env: {},
  });
  return { ...written, exitCode };
}

const quick = ["--trace", trace, "--gap-ms", "5", "--concurrency", "2", "--seed", "1"];
const number = expect.any(Number) as unknown;

interface Row {
  readonly arm: string;
  readonly hit_rate: number;
  readonly prefetch: { readonly used: number };
}

describe("bench", () => {
  it("plays all arms and prints one JSON object with the demo's rows", async () => {
    const { stdout, stderr, exitCode } = await bench(...quick, "--json");
    expect(exitCode).toBe(0);
    const { rows, ...rest } = JSON.parse(stdout) as { rows: readonly Record<string, unknown>[] };
    expect(rest).toEqual({});
    expect(rows.map(({ arm }) => arm)).toEqual(["none", "lru", "hints"]);
    expect(rows[1]).toEqual({
      trace: "team",
      arm: "lru",
      seed: 1,
      hit_rate: number,
      ttft_ms: { mean: number, p50: number, p95: number, p99: number },
      run_ms: { mean: number },
      runs_per_minute: number,
      utilisation: number,
      prefetch: { used: 0, wasted: 0 },
      next_agent_accuracy: null,
      decision_us: null,
      calls: 8,
      kv_tokens: number,
      block_tokens: 16,
    });
    expect(rows[0]?.["hit_rate"]).toBe(0);
    expect(rows[1]?.["hit_rate"]).toBeGreaterThan(0.1);
    expect(rows[2]?.["next_agent_accuracy"]).toEqual(number);
    expect(stderr).toContain("seed 1, none: 8 calls in ");
    expect(stderr).toContain("8 of the 8 calls of team (seed 1), in 2 parts of runs.");
    expect(stderr).toContain("KV budget ");
  });

  it("has an arm in which the app says who is next, so that what is prefetched is used", async () => {
    const { stdout, exitCode } = await bench(...quick, "--gap-ms", "150", "--arms", "lru,told", "--json");
    expect(exitCode).toBe(0);
    const { rows } = JSON.parse(stdout) as { rows: readonly [Row, Row] };
    const [lru, told] = rows;
    expect([lru.arm, told.arm]).toEqual(["lru", "told"]);
    expect(told.prefetch.used).toBeGreaterThan(0);
    expect(told.hit_rate).toBeGreaterThan(lru.hit_rate);
  });

  it("compares the simulator with what the engine served, on a cost model of its own", async () => {
    const { stdout, exitCode } = await bench(...quick, "--arms", "lru", "--compare-simulation", "--json");
    expect(exitCode).toBe(0);
    const { agreement } = JSON.parse(stdout) as { agreement: readonly Agreement[] };
    const [row] = agreement;
    if (row === undefined) throw new Error(`no row in ${stdout}`);
    expect(row).toMatchObject({ trace: "team", seed: 1, calls: 8 });
    expect(row.hit_rate.engine).toBeGreaterThan(0.1);
    expect(row.hit_rate_points).toBeCloseTo(100 * (row.hit_rate.simulated - row.hit_rate.engine));
    expect(Math.abs(row.hit_rate_points)).toBeLessThan(2);
    expect(row.ttft_ms.engine).toBeGreaterThan(0);
    expect(row.ttft_ms.simulated).toBeGreaterThan(0);
    expect(row.ttft_percent).toBeCloseTo(100 * (row.ttft_ms.simulated / row.ttft_ms.engine - 1));
    expect(row.busy_ms.simulated).toBeGreaterThan(0);
    expect(row.slowdown).toBeCloseTo((row.busy_ms.engine ?? 0) / row.busy_ms.simulated);
    expect(row.ttft_ms.at_its_speed).toBeGreaterThan(0);
    const table = agreementTable(agreement);
    expect(table).toMatch(/│ +1 │ +8 │/);
    expect(table).toMatch(/seed 1: overheadMs \S+, .*typical error [\d.]+ %/);
  });

  it.each([
    [["--seed", "1"], "--trace"],
    [["--trace", trace, "--engine", "vllm"], "--engine"],
    [["--trace", trace, "--capacity", "lots"], "--capacity"],
    [["--trace", trace, "--block-tokens", "3"], "--block-tokens"],
    [["--trace", trace, "--arms", "fifo"], "--arms"],
    [["--trace", trace, "--model", "./own.gguf"], "--model: must be a preset"],
    [["--trace", trace, "--compare-simulation", "--arms", "hints"], "--compare-simulation"],
  ])("says what is wrong with its options: %j", async (line, text) => {
    const { stdout, stderr, exitCode } = await bench(...line);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(text);
  });

  it("says that there is no such trace", async () => {
    const { stderr, exitCode } = await bench("--trace", join(folder, "none.jsonl"));
    expect(exitCode).toBe(2);
    expect(stderr).toContain("there is no such file");
  });

  it("shows an example in its help", async () => {
    const { stdout } = await bench("--help");
    expect(stdout).toContain("$ cachesage bench --trace trace.jsonl");
  });
});
