import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { chained, CLOSED, EMPTY_CHAIN } from "../../src/audit/chain.ts";
import { runProgram } from "../../src/cli/program.ts";
import type { AllPoliciesResult } from "../../src/demo/all-policies.ts";
import { policies } from "../../src/policy-set.ts";

const folder = mkdtempSync(join(tmpdir(), "cachesage-audit-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(words: readonly string[], env: Record<string, string> = {}, columns?: number) {
  const output = { stdout: "", stderr: "" };
  const exitCode = await runProgram(words, {
    stdout: (text) => void (output.stdout += text),
    stderr: (text) => void (output.stderr += text),
    signal: new AbortController().signal,
    isTTY: false,
    columns,
    env,
  });
  return { ...output, exitCode };
}

test("policies --demo plays one app with all of them off and on, to the same messages", async () => {
  const { exitCode, stdout } = await run(["policies", "--demo", "--runs", "6", "--json"]);
  const result = JSON.parse(stdout) as AllPoliciesResult;
  expect(result).toMatchObject({ runs: 6, identical: 6, faults: 0 });
  expect(result.rows.map(({ policy }) => policy)).toEqual(await policies.names());
  expect(result.toolCalls[1]).toBeLessThanOrEqual(result.toolCalls[0]);
  for (const { decisions, wins, drops } of result.rows)
    expect(wins + Object.values(drops).reduce((sum, count) => sum + count, 0)).toBe(decisions);
  expect(exitCode).toBe(0);
}, 60_000);

test("policies lists the folder", async () => {
  const listed = JSON.parse((await run(["policies", "--json"])).stdout) as {
    name: string;
    isDefault: boolean;
  }[];
  expect(listed.map(({ name }) => name)).toEqual(await policies.names());
  expect(listed.filter(({ isDefault }) => isDefault).map(({ name }) => name)).toEqual(["prefix-cache"]);
  expect((await run(["policies"])).stdout).toContain("tool-memo");
});

test.each([["policies"], ["engines"], ["policies", "safety"]])(
  "%s %s fits the terminal",
  async (...words) => {
    const widest = async (columns?: number) =>
      Math.max(...(await run(words, {}, columns)).stdout.split("\n").map((line) => line.length));
    for (const columns of [130, 160]) expect(await widest(columns)).toBeLessThanOrEqual(columns);
    // Where nobody says how wide it is, a cell is one line, for grep; and no word is ever cut.
    expect(await widest()).toBeGreaterThan(100);
    expect((await run(words, {}, 20)).stdout).not.toContain("…");
  },
);

test("policies: a name and --demo are two things to do", async () => {
  const { exitCode, stderr } = await run(["policies", "tool-memo", "--demo"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("--demo");
});

test("policies <name> shows every option of its schema, with its default", async () => {
  const { stdout } = await run(["policies", "tool-memo"]);
  for (const text of [
    "tools.<name>.scope",
    '"run" | "session" | "tenant" | "global"',
    "singleFlightMs",
    "10000",
  ])
    expect(stdout).toContain(text);
  expect((await run(["policies", "fairness"])).stdout).toContain('"adaptive" | integer');
  const unknown = await run(["policies", "tool-mem"]);
  expect(unknown.exitCode).toBe(2);
  expect(unknown.stderr).toContain("tool-memo");
});

/** Lines of a log with three entries and its end. */
function log(key?: string): string[] {
  const lines: string[] = [];
  let at = EMPTY_CHAIN;
  for (const verdict of ["admit", "deny", "admit", CLOSED]) {
    const { line, end } = chained(at, { verdict }, key);
    lines.push(line);
    at = end;
  }
  return lines;
}

function written(lines: readonly string[]): string {
  const file = join(folder, `${Math.random()}.jsonl`);
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  return file;
}

test("audit verify: a log in order, and one that was changed", async () => {
  const lines = log();
  const good = await run(["audit", "verify", written(lines)]);
  expect(good).toMatchObject({ exitCode: 0, stderr: "" });
  expect(good.stdout).toContain("4 entries, all in order");
  const changed = await run(["audit", "verify", written([lines[0], lines[2], lines[3]] as string[])]);
  expect(changed.exitCode).toBe(1);
  expect(changed.stdout).toContain("line 2");
});

test("audit verify: a log that was rotated is in order when all its files are named, oldest first", async () => {
  const lines = log();
  const [older, newer] = [written(lines.slice(0, 2)), written(lines.slice(2))];
  const whole = await run(["audit", "verify", older, newer]);
  expect(whole).toMatchObject({ exitCode: 0, stderr: "" });
  expect(whole.stdout).toContain("4 entries, all in order");
  const alone = await run(["audit", "verify", newer]);
  expect(alone.exitCode).toBe(1);
  expect(alone.stdout).toContain("is entry 3 where 1 belongs");
  expect(alone.stderr).toContain("name all files");
  const cut = written(lines.slice(3));
  expect((await run(["audit", "verify", older, cut])).stdout).toContain(`${cut}, line 1 is entry 4 where 3`);
});

test("audit verify: a log that ends early is told by its missing end, and by a head kept elsewhere", async () => {
  const lines = log();
  const { head } = JSON.parse((await run(["audit", "verify", written(lines), "--json"])).stdout) as {
    head: string;
  };
  const short = written(lines.slice(0, 3));
  expect(await run(["audit", "verify", short])).toMatchObject({ exitCode: 0 });
  expect((await run(["audit", "verify", short])).stderr).toContain("was not closed");
  expect(await run(["audit", "verify", short, "--head", head])).toMatchObject({ exitCode: 1 });
  expect(await run(["audit", "verify", written(lines), "--head", head])).toMatchObject({ exitCode: 0 });
});

test("audit verify: with the key, a log that was written anew is found out", async () => {
  const env = { CACHESAGE_AUDIT_KEY: "secret" };
  expect(await run(["audit", "verify", written(log("secret"))], env)).toMatchObject({ exitCode: 0 });
  expect(await run(["audit", "verify", written(log())], env)).toMatchObject({ exitCode: 1 });
});

test("audit verify: a file that is no log is told from one that was changed", async () => {
  const file = join(folder, "trace.jsonl");
  writeFileSync(file, '{"session":"1"}\n');
  const { exitCode, stdout, stderr } = await run(["audit", "verify", file]);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 1 });
  expect(stdout).toContain("line 1 is no entry of an audit log");
  expect(stderr).not.toContain("rotated");
});

test("audit verify: a file that is not there is a wrong use", async () => {
  expect(await run(["audit", "verify", join(folder, "none")])).toMatchObject({ exitCode: 2 });
});
