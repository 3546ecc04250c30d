import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { CommandDefinition } from "../../src/cli/command.ts";
import { runProgram } from "../../src/cli/program.ts";
import { registry } from "../../src/registry.ts";
import { commandNames } from "./command-names.ts";

const folder = new URL("./commands/", import.meta.url);

async function run(line: string, env: Record<string, string> = {}, signal = new AbortController().signal) {
  const written = { stdout: "", stderr: "" };
  const words = line.split(" ").filter((word) => word !== "");
  const io = {
    stdout: (text: string) => void (written.stdout += text),
    stderr: (text: string) => void (written.stderr += text),
    signal,
    isTTY: false,
    env,
  };
  const exitCode = await runProgram(words, io, folder);
  return { ...written, exitCode };
}

async function repeated(line: string): Promise<Record<string, unknown>> {
  const result = await run(`repeat ${line}`);
  expect(result).toMatchObject({ exitCode: 0, stderr: "working\n" });
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

describe("options from a schema", () => {
  it("fills in every default of the schema", async () => {
    expect(await repeated("a.jsonl")).toEqual({
      trace: "a.jsonl",
      more: [],
      kvTokens: 16384,
      order: "scored",
      prefixCaching: true,
      json: false,
      capacity: [1, 2],
      model: "nano",
    });
  });

  it("reads numbers, switches, choices, acronyms and several positions", async () => {
    const line = "a b c --kv-tokens 64 --no-prefix-caching --json --order lru --base-url http://x --model 7";
    expect(await repeated(line)).toMatchObject({
      trace: "a",
      more: ["b", "c"],
      kvTokens: 64,
      prefixCaching: false,
      json: true,
      order: "lru",
      baseURL: "http://x",
      model: "7",
    });
  });

  it("lets lists grow by comma and by repetition, in place of the default", async () => {
    expect(await repeated("a --capacity 4,8 --capacity 16")).toMatchObject({ capacity: [4, 8, 16] });
  });

  it.each([
    ["repeat a --kv-tokens 3", "--kv-tokens", "got 3"],
    ["repeat a --kv-tokens many", "--kv-tokens", 'got "many"'],
    ["repeat a --kv-tokens Infinity", "--kv-tokens", 'got "Infinity"'],
    ["repeat a --order newest", "--order", '"lru"|"scored"'],
    ["repeat a --capacity 1,x", "--capacity", "number"],
  ])("names the flag, the value and the remedy: %s", async (line, flag, detail) => {
    const { stderr, stdout, exitCode } = await run(line);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    const [problem, remedy, ...rest] = stderr.trimEnd().split("\n");
    expect(problem).toContain(`error: [repeat] ${flag}`);
    expect(problem).toContain(detail);
    expect(remedy).toBe("See: cachesage repeat --help");
    expect(rest).toEqual([]);
  });

  it("refuses a schema that no flag can express", async () => {
    const { addOptions } = await import("../../src/cli/options.ts");
    const { Command } = await import("commander");
    const definition: CommandDefinition = {
      name: "odd",
      summary: "",
      description: "",
      example: "",
      options: z.strictObject({ table: z.record(z.string(), z.string()) }),
      run: async () => 0,
    };
    expect(() => addOptions(new Command(), definition)).toThrow("option table cannot be written");
  });
});

describe("the frame", () => {
  it("keeps data on stdout and progress on stderr", async () => {
    const { stdout, stderr } = await run("repeat a");
    expect(stderr).toBe("working\n");
    expect(stdout).toMatch(/^\{.*\}\n$/);
  });

  it("lists the commands of the folder, and only those, with an example each", async () => {
    const { stdout, exitCode } = await run("--help");
    expect(exitCode).toBe(0);
    for (const text of ["repeat", "Fail in a chosen way.", "$ cachesage wait"])
      expect(stdout).toContain(text);
    expect(stdout).not.toContain("shared-part");
  });

  it("shows flags, defaults, choices and an example in a command's help", async () => {
    const { stdout } = await run("repeat --help");
    for (const text of ["<trace>", "[more...]", "--kv-tokens <number>", "(default: 16384)"])
      expect(stdout).toContain(text);
    for (const text of ["--no-prefix-caching", '"lru", "scored"', "$ cachesage repeat trace.jsonl"])
      expect(stdout).toContain(text);
    // As it is written on the command line.
    expect(stdout).toContain("Sizes to try. (default: 1,2)");
  });

  it("prints the package's version", async () => {
    expect(await run("--version")).toMatchObject({
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/),
      exitCode: 0,
    });
  });

  it.each([
    ["repat a", "(Did you mean repeat?)"],
    ["repeat a --kv-token 64", "(Did you mean --kv-tokens?)"],
    ["repeat", "missing required argument 'trace'"],
    ["fail", "required option '--how <text>' not specified"],
    ["wait for it", "too many arguments"],
    ["shared-part", "unknown command"],
    ["", "Usage: cachesage"],
  ])("calls it a usage error: %j", async (line, text) => {
    const { stdout, stderr, exitCode } = await run(line);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(text);
  });

  it("prints an error of ours with its hint and without a stack", async () => {
    const { stderr, exitCode } = await run("fail --how engine");
    expect(stderr).toBe("error: [vllm] nothing answers\nStart it first.\n");
    expect(exitCode).toBe(1);
  });

  it("prints the stack when DEBUG is set", async () => {
    const { stderr, exitCode } = await run("fail --how bug", { DEBUG: "1" });
    expect(stderr).toMatch(/TypeError: cannot read that\n\s+at /);
    expect(exitCode).toBe(1);
  });

  it("hands on a gate that is not met as 3", async () => {
    expect(await run("fail --how gate")).toMatchObject({ exitCode: 3, stderr: "" });
  });

  it("lets a command clean up when it is interrupted", async () => {
    const interrupt = new AbortController();
    const running = run("wait", {}, interrupt.signal);
    setImmediate(() => interrupt.abort());
    expect(await running).toMatchObject({ stderr: "cleaned up\n", exitCode: 0 });
  });
});

describe("the commands of the package", () => {
  const commands = registry<CommandDefinition | undefined>(
    "command",
    new URL("../../src/cli/", import.meta.url),
  );
  it.each(commandNames)(
    "%s is called like its file, with an example and strict, described options",
    async (name) => {
      const definition = await commands.load(name);
      expect(definition?.name).toBe(name);
      expect(definition?.example).toContain(`cachesage ${name}`);
      expect(definition?.options.safeParse({ "no such option": 1 }).success).toBe(false);
      const described = Object.entries<z.ZodType>(definition?.options.shape ?? {}).map(([key, field]) => [
        key,
        field.description ?? "",
      ]);
      expect(described.filter(([, description]) => description === "")).toEqual([]);
    },
  );

  it.each(commandNames)("%s, misspelt, is suggested; and so are its options", async (name) => {
    const said: string[] = [];
    const io = {
      stdout: () => {},
      stderr: (text: string) => void said.push(text),
      signal: new AbortController().signal,
      isTTY: false,
      env: {},
    };
    const help: string[] = [];
    await runProgram([name, "--help"], { ...io, stdout: (text) => void help.push(text) });
    const flag =
      /(--(?!no-|help|version)[a-z-]{3,})/.exec(help.join("").split("Options:")[1] ?? "")?.[1] ?? "--help";
    expect(await runProgram([name, `${flag}x`], io)).toBe(2);
    expect(said.splice(0).join("")).toMatch(new RegExp(`Did you mean .*${flag}\\b`));
    expect(await runProgram([`${name}x`], io)).toBe(2);
    expect(said.join("")).toMatch(new RegExp(`Did you mean .*${name}\\b`));
  });
});
