import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { builtPackage, run } from "../record/build.ts";
import { checkCommandLine, commandLines } from "../readme/command-lines.ts";
import { commandNames } from "./command-names.ts";

const built = builtPackage();

const call = { session: "1", prompt_tokens: 32, output_tokens: 8, sys_tokens: 16, ref: -1, keep: 0 };
const trace = () => {
  const file = built.file("trace.jsonl");
  const calls = ["planner", "coder", "planner"].map((agent, index) => ({
    ...call,
    agent,
    new: [[2 * index, 2]],
  }));
  writeFileSync(file, calls.map((one) => `${JSON.stringify(one)}\n`).join(""));
  return file;
};
const cell = ["--capacity", "2", "--concurrency", "1", "--seed", "1"];

describe.each(commandNames)("cachesage %s", (name) => {
  it("tells what it is, with an example that it knows", async () => {
    const { code, stdout, stderr } = await built.cachesage([name, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [, example = ""] = /Example:\n {2}\$ (.+)\n/.exec(stdout) ?? [];
    const [words = []] = commandLines(example);
    expect(words.slice(0, 2)).toEqual(["cachesage", name]);
    await expect(checkCommandLine(words)).resolves.toBeUndefined();
  });

  it("says near names of a misspelt option, and exits with 2", async () => {
    const { code, stdout, stderr } = await built.cachesage([name, "--hlep"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Did you mean --help?");
  });
});

describe("a misspelt name", () => {
  it.each([
    ["a command", ["simulat"], "simulate"],
    ["a policy", ["policies", "tool-mem"], "tool-memo"],
    ["an engine", ["engines", "vlm"], "vllm"],
    ["the engine of a server", ["doctor", "--engine", "sglan", "--url", "http://127.0.0.1:9"], "sglang"],
    ["a preset", ["serve", "--model", "nanno"], "nano"],
    ["the engine of a demo", ["demo", "--engine", "http://127.0.0.1:9", "--engine-name", "vlm"], "vllm"],
    ["a baseline", ["simulate", "x.jsonl", "--baseline", "lru,belady,seive"], "sieve"],
    ["a choice", ["simulate", "x.jsonl", "--order", "rnadom"], "random"],
    ["one of several choices", ["demo", "--arms", "lru,hint"], "hints"],
    ["a choice by position", ["state", "shwo", "./learned"], "show"],
  ])("suggests the near one: %s", async (_, words, meant) => {
    const { code, stdout, stderr } = await built.cachesage(words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(`Did you mean ${meant}?`);
  });

  it("suggests nothing where nothing is near", async () => {
    const { code, stderr } = await built.cachesage(["policies", "weather-forecast"]);
    expect(code).toBe(2);
    expect(stderr).not.toContain("Did you mean");
    expect(stderr).toContain("Known: admission");
  });
});

describe("exit codes", () => {
  it.each([
    ["done", () => ["policies"], 0],
    ["done, as JSON", () => ["simulate", trace(), ...cell, "--json"], 0],
    ["failed: a trace of no known format", () => ["inspect", emptyFile()], 1],
    ["failed: a server that is down", () => ["state", "show", "redis://127.0.0.1:9"], 1],
    ["used wrongly: no argument", () => ["simulate"], 2],
    ["used wrongly: a trace that is not there", () => ["simulate", trace(), "missing.jsonl"], 2],
    ["used wrongly: the same for inspect", () => ["inspect", "missing.jsonl"], 2],
    ["used wrongly: the same for bench", () => ["bench", "--trace", "missing.jsonl"], 2],
    ["used wrongly: a folder for a trace", () => ["inspect", folder("traces")], 2],
    ["used wrongly: a folder for a log", () => ["audit", "verify", folder("logs")], 2],
    ["used wrongly: a store that is not there", () => ["state", "show", "no-such-folder"], 2],
    ["used wrongly: a model that is not there", () => ["serve", "--model", "missing.gguf"], 2],
    ["used wrongly: a value out of range", () => ["simulate", trace(), "--concurrency", "0"], 2],
    ["used wrongly: a task and a file of tasks", () => ["demo", "--task", "a", "--tasks", "b"], 2],
    ["used wrongly: an engine's name, but no url", () => ["demo", "--engine-name", "vllm"], 2],
    [
      "used wrongly: a model for a server that has one",
      () => ["demo", "--engine", "http://127.0.0.1:9/v1", "--model", "pico"],
      2,
    ],
    [
      "used wrongly: an arm that a running server does not have",
      () => ["demo", "--engine", "http://127.0.0.1:9/v1", "--arms", "none"],
      2,
    ],
    ["used wrongly: less cache than a request takes", () => ["demo", "--kv-tokens", "8"], 2],
    [
      "used wrongly: a plot that cannot be written",
      () => ["simulate", trace(), "--plot", "no/such/folder.svg"],
      2,
    ],
    [
      "a gate that is not met",
      () => ["simulate", trace(), ...cell, "--policy", "lru", "--fail-below", "101"],
      3,
    ],
  ])("%s", async (_, words, wanted) => {
    const { code, stdout, stderr } = await built.cachesage(words());
    expect(code).toBe(wanted);
    expect(wanted === 1 || wanted === 2 ? stdout : "").toBe("");
    expect(wanted === 0 ? "" : stderr).toMatch(wanted === 0 ? /^$/ : /\S/);
  });
});

describe("output", () => {
  it.each([
    ["policies", () => ["policies", "--json"]],
    ["one policy", () => ["policies", "safety", "--json"]],
    ["engines", () => ["engines", "--json"]],
    ["one engine", () => ["engines", "vllm", "--json"]],
    ["inspect", () => ["inspect", trace(), "--json"]],
    ["simulate", () => ["simulate", trace(), ...cell, "--json"]],
    ["state", () => ["state", "show", folder("learned"), "--json"]],
    ["state reset", () => ["state", "reset", folder("forgotten"), "--yes", "--json"]],
    ["record", () => ["record", "--out", built.file("own.jsonl"), "--json", process.execPath, "-p", "1"]],
    ["audit", () => ["audit", "verify", emptyFile(), "--json"]],
  ])("is one JSON value with --json: %s", async (_, words) => {
    const { code, stdout } = await built.cachesage(words());
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(stdout)).toBeTypeOf("object");
  });

  it.each([{ NO_COLOR: "1" }, { FORCE_COLOR: "1", TERM: "xterm-256color" }])(
    "has no control codes where no terminal reads it: %o",
    async (env) => {
      const main = built.file("dist/cli/main.js");
      for (const words of [["--help"], ["policies"], ["simulate", trace(), ...cell], ["simulate", "--bad"]]) {
        const { stdout, stderr } = await run([main, ...words], undefined, env);
        expect(stdout + stderr).not.toContain("\u001b");
        expect(stdout + stderr).not.toContain("\r");
      }
    },
  );
});

it.skipIf(!existsSync("/dev/full"))("fails with 1 when the output cannot be written", async () => {
  const full = openSync("/dev/full", "w");
  try {
    const words = [built.file("dist/cli/main.js"), "engines", "--json"];
    const child = spawn(process.execPath, words, { stdio: ["ignore", full, "pipe"] });
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => (stderr += String(chunk)));
    expect(await once(child, "close")).toEqual([1, null]);
    expect(stderr).toMatch(/^error: the output cannot be written: ENOSPC.*\n$/);
  } finally {
    closeSync(full);
  }
});

function folder(name: string): string {
  mkdirSync(built.file(name), { recursive: true });
  return built.file(name);
}

function emptyFile(): string {
  writeFileSync(built.file("audit.jsonl"), "");
  return built.file("audit.jsonl");
}
