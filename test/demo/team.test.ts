import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Member } from "../../src/demo/member.ts";
import { tasks } from "../../src/demo/tasks.ts";
import { drawPath, random } from "../../src/demo/routing.ts";
import architect from "../../src/demo/team/architect.ts";
import coder from "../../src/demo/team/coder.ts";
import documenter from "../../src/demo/team/documenter.ts";
import planner from "../../src/demo/team/planner.ts";
import reviewer from "../../src/demo/team/reviewer.ts";
import tester from "../../src/demo/team/tester.ts";
import { capitalised, pick, topicsOf } from "../../src/demo/turn.ts";
import { Workspace } from "../../src/demo/workspace.ts";

const team: readonly Member[] = [planner, architect, coder, tester, reviewer, documenter];
/** As the tokenizer of the demo's default model cuts these prompts: 3.0 to 3.3. */
const CHARACTERS_PER_TOKEN = 3.2;

function wordsIn(text: string): number {
  return text.trim().split(/\s+/).length;
}

function definitions(member: Member): readonly object[] {
  return member.tools.map(({ name, description, schema }) =>
    convertToOpenAITool({ name, description, schema } as never),
  );
}

/** The `properties` of every object schema, however deep. */
function objectSchemas(value: unknown): readonly Record<string, { readonly description?: string }>[] {
  if (typeof value !== "object" || value === null) return [];
  const own =
    "properties" in value ? [value.properties as Record<string, { readonly description?: string }>] : [];
  return [...own, ...Object.values(value).flatMap(objectSchemas)];
}

function anchorTokens(member: Member): number {
  return (member.system.length + JSON.stringify(definitions(member)).length) / CHARACTERS_PER_TOKEN;
}

interface Said {
  readonly member: Member;
  readonly tool: string;
  readonly args: unknown;
  readonly text: string;
}

/** Plays a run in which members hand over at random, as their prompts allow. */
function play(
  task: string,
  seed: number,
  turns: number,
): { readonly said: readonly Said[]; readonly workspace: Workspace } {
  const drawn = random(seed);
  const workspace = new Workspace();
  const said: Said[] = [];
  let member = planner;
  for (let step = 0; step < turns; step++) {
    const call = member.act({ task, step, random: drawn }, workspace);
    const tool = member.tools.find(({ name }) => name === call.tool);
    if (tool === undefined) throw new Error(`${member.name} has no tool ${call.tool}`);
    said.push({
      member,
      tool: call.tool,
      args: tool.schema.parse(call.args),
      text: tool.run(call.args, workspace),
    });
    const name = pick(member.next, drawn);
    member = team.find((candidate) => candidate.name === name) ?? planner;
  }
  return { said, workspace };
}

const anyRun = [fc.constantFrom(...tasks), fc.nat({ max: 2 ** 31 })] as const;

describe("anchors", () => {
  test.each(team)("$name has 500 to 1,500 tokens of system message and tools", (member) => {
    expect(anchorTokens(member)).toBeGreaterThanOrEqual(500);
    expect(anchorTokens(member)).toBeLessThanOrEqual(1500);
  });

  test("differ in length by at least 80 tokens each", () => {
    const sizes = team.map(anchorTokens).toSorted((a, b) => a - b);
    const gaps = sizes.slice(1).map((size, index) => size - (sizes[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(80);
  });

  test.each(team)("$name names its successors in its last paragraph, and they exist", (member) => {
    const last = member.system.split("\n\n").at(-1) ?? "";
    expect(last).toMatch(/exactly one line `NEXT: <agent/);
    expect(/naming one of: ([\w, ]+)\./.exec(last)?.[1]?.split(", ")).toEqual(member.next);
    const others = team.map(({ name }) => name).filter((name) => name !== member.name);
    expect([...others, "END"]).toEqual(expect.arrayContaining([...member.next]));
  });

  test.each(team)("$name has 2 to 5 tools whose every argument is described", (member) => {
    expect(member.tools.length).toBeGreaterThanOrEqual(2);
    expect(member.tools.length).toBeLessThanOrEqual(5);
    for (const schema of objectSchemas(definitions(member)))
      for (const field of Object.values(schema)) expect(field.description).toMatch(/\w{3}/);
  });

  test("tool names are unique over the team", () => {
    const names = team.flatMap(({ tools }) => tools.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  });
});

test("the routing table hands over only to agents that the prompts name", () => {
  for (let seed = 0; seed < 200; seed++) {
    const path = drawPath("table", random(seed));
    for (const [index, name] of path.slice(1).entries())
      expect(team.find((member) => member.name === path[index])?.next).toContain(name);
  }
});

describe("tasks", () => {
  test("there are 24 different ones of 30 to 50 words", () => {
    expect(new Set(tasks).size).toBe(24);
    for (const task of tasks) {
      expect(wordsIn(task)).toBeGreaterThanOrEqual(30);
      expect(wordsIn(task)).toBeLessThanOrEqual(50);
    }
  });

  test("each is about several topics, and any other text about at least one", () => {
    for (const task of tasks) expect(topicsOf(task).length).toBeGreaterThanOrEqual(5);
    fc.assert(
      fc.property(fc.string(), (text) => topicsOf(text).every((topic) => capitalised(topic).length > 4)),
    );
    expect(topicsOf("")).not.toEqual([]);
  });
});

describe("a run of the team", () => {
  test("calls tools with valid arguments and reads 15 to 130 words from each, over 30 turns", () => {
    fc.assert(
      fc.property(...anyRun, (task, seed) => {
        for (const { text } of play(task, seed, 30).said) {
          expect(wordsIn(text)).toBeGreaterThanOrEqual(15);
          expect(wordsIn(text)).toBeLessThanOrEqual(130);
        }
      }),
    );
  });

  test("says the same for the same seed, and something else for another", () => {
    fc.assert(
      fc.property(...anyRun, (task, seed) => {
        const texts = play(task, seed, 30).said.map(({ text }) => text);
        expect(play(task, seed, 30).said.map(({ text }) => text)).toEqual(texts);
        expect(play(task, seed + 1, 30).said.map(({ text }) => text)).not.toEqual(texts);
      }),
    );
  });

  test("adds new text on at least four turns of five", () => {
    for (const [seed, task] of tasks.entries()) {
      const { said } = play(task, seed, 30);
      expect(new Set(said.map(({ text }) => text)).size).toBeGreaterThanOrEqual(24);
    }
  });

  test("finds the flaws of its own files and repairs them", () => {
    const worlds = tasks.map((task, seed) => play(task, seed, 120).workspace);
    const verdicts = worlds.flatMap(({ checks }) => checks.filter(({ verdict }) => verdict !== undefined));
    const findings = worlds.flatMap((workspace) => workspace.findings);
    expect(verdicts.some(({ verdict }) => verdict?.passed === true)).toBe(true);
    expect(findings.filter(({ status }) => status === "fixed").length).toBeGreaterThan(10);
    expect(worlds.every(({ files }) => files.length > 0)).toBe(true);
    expect(worlds.flatMap(({ files }) => files).some(({ revision }) => revision > 1)).toBe(true);
  });
});

describe("every tool", () => {
  const tools = team.flatMap((member) => member.tools);

  test.each(tools)("$name refuses arguments outside its schema", (tool) => {
    expect(() => tool.run({ nonsense: 1 }, new Workspace())).toThrow(/nonsense/);
  });

  test.each([
    ["set_plan_item", { id: "P9", status: "done", evidence: "seen" }],
    ["check_design", { path: "src/absent.ts" }],
    ["read_file", { path: "src/absent.ts", from: 1 }],
    ["replace_lines", { path: "src/absent.ts", from: 1, to: 2, lines: [], reason: "none" }],
    ["run_checks", { path: "*" }],
    ["show_check", { id: "C9" }],
    ["review_file", { path: "src/absent.ts" }],
    ["add_finding", { path: "src/absent.ts", line: 1, severity: "minor", problem: "is not there" }],
    ["settle_finding", { id: "F9", outcome: "fixed" }],
    ["audit_documents", { document: "guide" }],
  ])("%s answers in 15 to 130 words when there is nothing to work on", (name, args) => {
    const text = tools.find((tool) => tool.name === name)?.run(args, new Workspace()) ?? "";
    expect(wordsIn(text)).toBeGreaterThanOrEqual(15);
    expect(wordsIn(text)).toBeLessThanOrEqual(130);
  });

  test("keeps its answer at 130 words or fewer when a model floods it", () => {
    const write = coder.tools.find(({ name }) => name === "write_file");
    const read = coder.tools.find(({ name }) => name === "read_file");
    const workspace = new Workspace();
    const lines = Array.from({ length: 200 }, () => "word ".repeat(48).trim());
    write?.run({ path: "src/flood.ts", lines, intent: "flood" }, workspace);
    expect(wordsIn(read?.run({ path: "src/flood.ts", from: 1 }, workspace) ?? "")).toBeLessThanOrEqual(130);
  });
});
