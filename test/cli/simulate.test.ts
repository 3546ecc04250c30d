import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import inspect from "../../src/cli/inspect.ts";
import simulate from "../../src/cli/simulate.ts";

let folder = "";
let trace = "";
const io = () => {
  const out: string[] = [];
  const notes: string[] = [];
  return {
    out,
    notes,
    stdout: (text: string) => void out.push(text),
    stderr: (text: string) => void notes.push(text),
    signal: new AbortController().signal,
    isTTY: false,
    env: {},
  };
};
const options = (given: Record<string, unknown>) =>
  simulate.options.parse({ trace: [trace], concurrency: [1], seed: [1], capacity: ["3"], ...given });

const line = (agent: string, first: number) =>
  JSON.stringify({
    session: "s",
    agent,
    prompt_tokens: 32,
    output_tokens: 1,
    ref: -1,
    keep: 0,
    new: [[first, 2]],
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cachesage-"));
  trace = join(folder, "two.jsonl");
  // Prompts a = [0 1], b = [2 3], a again: 6 touches. Three blocks hold b and the head of a, so LRU hits one.
  await writeFile(trace, [line("a", 0), line("b", 2), line("a", 0)].join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("cachesage simulate", () => {
  test("prints one row a policy, worked by hand", async () => {
    const seen = io();
    expect(
      await simulate.run(options({ policy: "lru", baseline: ["belady", "unbounded"], json: true }), seen),
    ).toBe(0);
    const { rows } = JSON.parse(seen.out.join("")) as {
      rows: { policy: string; hit_rate: number; evictions: number; calls: number; prefetch: object }[];
    };
    const find = (policy: string) => rows.find((row) => row.policy === policy);
    expect(rows.map(({ calls }) => calls)).toEqual([3, 3, 3]);
    expect(find("unbounded")).toMatchObject({ evictions: 0, prefetch: { used: 0, wasted: 0 } });
    expect(find("unbounded")?.hit_rate).toBeCloseTo(2 / 6, 12);
    expect(find("lru")?.hit_rate).toBeCloseTo(1 / 6, 12);
    expect(find("belady")?.hit_rate).toBeCloseTo(2 / 6, 12);
  });

  test("prints a table and writes a plot", async () => {
    const seen = io();
    const plot = join(folder, "plot.svg");
    expect(await simulate.run(options({ policy: "cachesage", plot }), seen)).toBe(0);
    expect(seen.out.join("")).toMatch(/cachesage[\s\S]*lru[\s\S]*belady/);
    const svg = await readFile(plot, "utf8");
    expect(svg).toMatch(/^<svg/);
    expect(svg).toContain("cachesage");
  });

  test("exits with 3 when the share asked for is not reached", async () => {
    const seen = io();
    expect(await simulate.run(options({ policy: "lru", failBelow: 50 }), seen)).toBe(3);
    expect(seen.notes.join("")).toContain("less than 50 %");
  });

  test("names file and line of a bad record, and policies that do not exist", async () => {
    const bad = join(folder, "bad.jsonl");
    await writeFile(bad, `${await readFile(trace, "utf8")}\n{"session":"s","agent":"a","ref":7,"new":[]}\n`);
    await expect(simulate.run(options({ trace: [bad] }), io())).rejects.toThrow("bad.jsonl:4");
    await expect(simulate.run(options({ policy: "lur" }), io())).rejects.toThrow("lru");
  });

  test("stops when it is told to", async () => {
    const stopped = { ...io(), signal: AbortSignal.abort(new Error("stopped")) };
    await expect(simulate.run(options({}), stopped)).rejects.toThrow("stopped");
  });
});

test("cachesage inspect tells agents, transitions and what can be gained", async () => {
  const seen = io();
  expect(await inspect.run(inspect.options.parse({ trace, concurrency: 1 }), seen)).toBe(0);
  const text = seen.out.join("");
  expect(text).toContain("3");
  expect(text).toMatch(/Agents[\s\S]*Transitions[\s\S]*Hit rate against cache size/);
});
