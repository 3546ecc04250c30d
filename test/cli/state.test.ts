import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { countsOf } from "../../src/learn/exchange.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { App } from "../runtime/app.ts";
import { hasRedis, RedisServer } from "../stores/redis-server.ts";

let folder: string;
let server: RedisServer | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cachesage-state-"));
  if (hasRedis) server = await RedisServer.start();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function state(...words: readonly string[]) {
  const written = { stdout: "", stderr: "" };
  const exitCode = await runProgram(["state", ...words], {
    stdout: (text) => void (written.stdout += text),
    stderr: (text) => void (written.stderr += text),
    signal: new AbortController().signal,
    isTTY: false,
    env: {},
  });
  return { ...written, exitCode };
}

const shown = async (place: string, ...words: string[]) =>
  JSON.parse((await state("show", place, "--json", ...words)).stdout) as { transitions: unknown[] };
const policies = (limit: number, more = {}) => ({
  version: 1,
  states: { admission: { limit }, ...more },
});
const places = [
  ["file", () => join(folder, "store")] as const,
  ...(hasRedis ? [["redis", () => server?.url ?? ""] as const] : []),
];

describe.each(places)("the state of a %s store", (_kind, place) => {
  const learned = new LearnedPredictor();
  for (const event of new App().run("1", "planner", "coder", "coder")) learned.observe(event);
  const learnedFrom = [
    { from: "__start__", to: "planner", count: 1 },
    { from: "planner", to: "coder", count: 1 },
    { from: "coder", to: "coder", count: 1 },
    { from: "coder", to: "__end__", count: 1 },
  ];
  let exported: string;

  beforeEach(async () => {
    await state("reset", place(), "--yes");
    exported = join(folder, "exported.json");
    await writeFile(exported, JSON.stringify(learned.snapshot()));
  });

  it("is merged, shown, exported as it was, and reset", async () => {
    const { exitCode, stdout, stderr } = await state("merge", place(), exported);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
    expect(stderr).toMatch(/^merged \d+ counts/);
    expect((await shown(place())).transitions).toEqual(expect.arrayContaining(learnedFrom));
    expect((await state("show", place())).stdout).toMatch(/coder.*coder.*1/);
    const restored = new LearnedPredictor();
    restored.restore(JSON.parse((await state("export", place())).stdout));
    expect(Object.fromEntries(countsOf(restored.snapshot()))).toEqual(
      Object.fromEntries(countsOf(learned.snapshot())),
    );
    expect(await state("reset", place(), "--yes")).toMatchObject({
      exitCode: 0,
      stdout: "",
      stderr: expect.stringContaining("tenant default, workload default"),
    });
    expect((await shown(place())).transitions).toEqual([]);
  });

  it("has what was merged twice once", async () => {
    for (let time = 0; time < 2; time++) await state("merge", place(), exported);
    expect((await shown(place())).transitions).toEqual(expect.arrayContaining(learnedFrom));
  });

  it("has what policies remember: exported and merged, where it has none of that policy", async () => {
    await writeFile(exported, JSON.stringify({ ...learned.snapshot(), policies: policies(7) }));
    await state("merge", place(), exported);
    await writeFile(
      exported,
      JSON.stringify({ ...learned.snapshot(), policies: policies(9, { routing: {} }) }),
    );
    await state("merge", place(), exported);
    expect(JSON.parse((await state("export", place())).stdout)).toMatchObject({
      version: 5,
      policies: policies(7, { routing: {} }),
    });
  });

  it("is that of a tenant and a workload", async () => {
    await state("merge", place(), exported, "--tenant", `t${Date.now()}`);
    expect((await shown(place())).transitions).toEqual([]);
  });
});

it.skipIf(!hasRedis)("prints no password of a url", async () => {
  // A Redis whose user needs no password takes any.
  const url = (server?.url ?? "").replace("redis://", "redis://default:secret@");
  const merged = await state("merge", join(folder, "other"), url, "--json");
  const reset = await state("reset", url, "--yes", "--json");
  expect([merged.exitCode, reset.exitCode]).toEqual([0, 0]);
  expect(JSON.stringify([merged, reset])).toContain("default:***@");
  expect(JSON.stringify([merged, reset])).not.toContain("secret");
});

it.each([
  [["shwo", "x"], "show"],
  [["merge", "x"], "<from>: merge takes what to add"],
  [["show", "x", "y"], "<from>: show takes none"],
  [["reset", "x"], "--yes"],
  [["show", "x", "--tennant", "a"], "Did you mean --tenant?"],
  [["merge", "x", "not there"], "is not there"],
  [["show", "x", "--tenant", "a/b"], "--tenant"],
])("calls it a usage error: %j", async (words, text) => {
  const { exitCode, stdout, stderr } = await state(...words);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  expect(stderr).toContain(text);
});

it("fails with 1 when the server is not there", async () => {
  const { exitCode, stderr } = await state("show", "redis://127.0.0.1:1");
  expect(exitCode).toBe(1);
  expect(stderr).toContain("[store redis]");
});
