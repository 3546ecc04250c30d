import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram } from "../../src/cli/program.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dash-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Starts the command; `now` gives what its page gets. */
function start(...words: readonly string[]) {
  const interrupt = new AbortController();
  const written = { stdout: "", stderr: "" };
  const exitCode = runProgram(["dash", "--port", "0", ...words], {
    stdout: (text) => void (written.stdout += text),
    stderr: (text) => void (written.stderr += text),
    signal: interrupt.signal,
    isTTY: false,
    env: {},
  });
  const url = async () => {
    await expect.poll(() => written.stdout).toContain("\n");
    return (JSON.parse(written.stdout) as { url: string }).url;
  };
  const now = async (view: string): Promise<Record<string, Record<string, unknown>>> =>
    (await (await fetch(`${await url()}api/now?view=${view}`)).json()) as Record<
      string,
      Record<string, unknown>
    >;
  const stop = () => {
    interrupt.abort();
    return exitCode;
  };
  return { written, now, stop, exitCode };
}

const line = (session: number, step: number, agent: string) =>
  `${JSON.stringify({ session: `s${session}`, agent, prompt_tokens: 160 + 32 * step, output_tokens: 5, sys_tokens: 160, ref: step - 1, keep: step === 0 ? 0 : 10 + 2 * (step - 1), new: step === 0 ? [[0, 10]] : [[100 + 20 * session + 2 * step, 2]] })}\n`;
const recording = Array.from({ length: 6 }, (_, session) =>
  ["planner", "coder", "planner", "coder"].map((agent, step) => line(session, step, agent)).join(""),
).join("");

describe("cachesage dash", () => {
  it("says how to attach to an app when it has nothing to show", async () => {
    const command = start();
    const { problem } = await command.now("overview");
    expect(JSON.stringify(problem)).toContain("sage.dashboard(");
    expect(command.written.stderr).toContain("sage.dashboard(");
    expect(await command.stop()).toBe(0);
  });

  it("plays a recording, and says that nothing of it is sent", async () => {
    const file = join(folder, "trace.jsonl");
    await writeFile(file, recording);
    const command = start(file, "--seconds", "0.2", "--capacity", "20", "--concurrency", "2");
    await expect.poll(() => command.written.stderr).toContain("The recording is over");
    const { head, data } = await command.now("overview");
    expect(head).toMatchObject({ kind: "recording", name: "trace" });
    expect(data?.["requests"]).toBe(24);
    expect(data?.["cachedTokens"]).toBeGreaterThan(0);
    const decisions = await command.now("decisions");
    expect(decisions["data"]).toMatchObject({
      rows: expect.arrayContaining([expect.objectContaining({ status: "recorded" })]),
    });
    expect(await command.stop()).toBe(0);
  });

  it("tells on the page that a recording cannot be read, without a word of it, and shows it when it can", async () => {
    const file = join(folder, "late.jsonl");
    await writeFile(file, '{"prompt": "a secret"}\n');
    const command = start(file, "--seconds", "0.2", "--capacity", "20");
    await expect
      .poll(async () => (await command.now("overview"))["problem"]?.["title"])
      .toBe("The recording cannot be shown");
    const { problem } = await command.now("overview");
    expect(problem?.["text"]).toContain("of no known format");
    expect(JSON.stringify(problem)).not.toContain("secret");
    await writeFile(file, recording);
    await expect.poll(async () => (await command.now("overview"))["head"]?.["name"]).toBe("late");
    expect(await command.stop()).toBe(0);
  });

  it("ends at once where a recording is asked for wrongly", async () => {
    const file = join(folder, "timeless.jsonl");
    await writeFile(file, recording);
    for (const words of [
      ["--format", "langfus"],
      ["--order", "own"],
    ]) {
      const command = start(file, ...words);
      expect(await command.exitCode).toBe(2);
      expect(command.written.stderr).toMatch(/Did you mean langfuse|--order/);
    }
  });

  it.each([
    ["--port nine", "--port"],
    ["--capacity all", "--capacity"],
    ["--sedonds 3", "--sedonds"],
  ])("refuses %s", async (words, named) => {
    const command = start(...words.split(" "));
    expect(await command.exitCode).toBe(2);
    expect(command.written.stderr).toContain(named);
  });
});
