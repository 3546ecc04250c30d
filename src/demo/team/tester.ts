import { z } from "zod";
import { rules } from "../checks.ts";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, type Turn } from "../turn.ts";
import { type Check, count, type Workspace } from "../workspace.ts";

const next = ["coder", "reviewer", "planner"];

const addChecks = defineTool({
  name: "add_checks",
  description: "Adds checks to one file and runs them.",
  schema: z.strictObject({
    path: z.string().describe("File, which may not exist yet"),
    checks: z
      .array(
        z.strictObject({
          rule: z.enum(rules).describe("balanced and documented take no argument"),
          argument: z.string().describe("Text to look for, or a limit"),
          demand: z.string().describe("The demand it protects"),
        }),
      )
      .max(3)
      .describe("The new checks"),
  }),
  run: ({ path, checks }, workspace) => {
    const told = checks.map(({ rule, argument, demand }) => {
      const twin = workspace.checks.find(
        (check) => check.path === path && check.rule === rule && check.argument === argument,
      );
      if (twin) return `${twin.id} asks already whether ${worded(twin)}.`;
      const { id } = workspace.addCheck({ path, rule, argument });
      return `${id}: ${worded({ rule, argument })}, because ${demand}.`;
    });
    const failed = workspace.runChecks(path).filter((check) => check.verdict?.passed === false);
    return workspace.report(
      `Checks for ${path}.`,
      ...told,
      failed.length === 0 ? "All checks of this file pass." : `Failing: ${failures(failed)}.`,
    );
  },
});

const runChecks = defineTool({
  name: "run_checks",
  description: "Runs checks on the newest revision and reports each failure.",
  schema: z.strictObject({
    path: z.string().describe("File, or * for all"),
  }),
  run: ({ path }, workspace) => {
    const before = new Map(workspace.checks.map((check) => [check.id, check.verdict?.passed]));
    const ran = workspace.runChecks(path === "*" ? undefined : path);
    const failed = ran.filter((check) => check.verdict?.passed === false);
    const mended = ran.filter((check) => check.verdict?.passed === true && before.get(check.id) === false);
    const broken = failed.filter((check) => before.get(check.id) === true);
    return workspace.report(
      `Ran ${count(ran.length, "check")} of ${path === "*" ? "all files" : path}: ${ran.length - failed.length} passed, ${failed.length} failed.`,
      failed.length > 0 ? `Failing: ${failures(failed)}.` : "",
      mended.length > 0 ? `Passing again: ${mended.map(({ id }) => id).join(", ")}.` : "",
      broken.length > 0 ? `Broken since the last run: ${broken.map(({ id }) => id).join(", ")}.` : "",
      ran.length === 0 ? "There is nothing to run; add a check first." : "",
    );
  },
});

const showCheck = defineTool({
  name: "show_check",
  description: "Shows a check, its last answer and the lines it points to.",
  schema: z.strictObject({
    id: z.string().describe("Such as C4"),
  }),
  run: ({ id }, workspace) => {
    const check = workspace.checks.find((candidate) => candidate.id === id);
    if (check === undefined)
      return workspace.report(
        `There is no check ${id}; the newest is ${workspace.checks.at(-1)?.id ?? "none"}.`,
      );
    const answer =
      check.verdict === undefined
        ? "It has not run yet."
        : `It ${check.verdict.passed ? "passed" : "failed"} on revision ${check.verdict.revision}: ${check.verdict.evidence}.`;
    const line = Number(/line (\d+)/.exec(check.verdict?.evidence ?? "")?.[1] ?? 1);
    const around = workspace.fileAt(check.path)?.lines.slice(Math.max(0, line - 2), line + 1) ?? [];
    return workspace.report(
      `${id} wants of ${check.path} that ${worded(check)}. ${answer}`,
      workspace.isStale(check) ? "The file has no answer for its newest revision." : "",
      around.length > 0 ? `Around line ${line}:\n${around.join("\n")}` : "The file does not exist.",
    );
  },
});

function failures(failed: readonly Check[]): string {
  const told = failed.slice(0, 2).map(({ id, path, verdict }) => `${id} on ${path}, ${verdict?.evidence}`);
  return told.join("; ");
}

function worded({ rule, argument }: Pick<Check, "rule" | "argument">): string {
  switch (rule) {
    case "exports":
      return `it exports ${argument}`;
    case "contains":
      return `some line contains "${argument}"`;
    case "lacks":
      return `no line contains "${argument}"`;
    case "balanced":
      return "every bracket is closed in order";
    case "documented":
      return "every export has a comment above it";
    case "max-lines":
      return `it has at most ${argument} lines`;
    case "max-columns":
      return `no line is longer than ${argument} columns`;
  }
}

/** Checks that any file behind a contract should pass, each with the demand that it protects. */
function wanted(
  exports: readonly string[],
): readonly (Pick<Check, "rule" | "argument"> & { readonly demand: string })[] {
  return [
    ...exports.map((name) => ({
      rule: "exports" as const,
      argument: name,
      demand: `the contract promises ${name}`,
    })),
    { rule: "documented", argument: "", demand: "callers use an export without reading its code" },
    { rule: "lacks", argument: "console.log", demand: "a library leaves all output to its caller" },
    { rule: "balanced", argument: "", demand: "the file must be complete before it can compile" },
    { rule: "max-columns", argument: "120", demand: "a reader wants to see whole lines next to a diff" },
    { rule: "lacks", argument: ": any", demand: "the compiler has to check every value" },
    { rule: "max-lines", argument: "60", demand: "a module keeps its one reason to exist" },
  ];
}

function act({ random }: Turn, workspace: Workspace): ToolCall {
  const [failing] = workspace.failingChecks;
  if (failing && random() < 0.4) return { tool: "show_check", args: { id: failing.id } };
  const stale = workspace.checks.filter((check) => workspace.isStale(check));
  if (stale.length > 0 && random() < 0.8)
    return { tool: "run_checks", args: { path: stale.length > 3 ? "*" : (stale[0]?.path ?? "*") } };
  if (workspace.checks.length > 0 && random() < 0.15)
    return { tool: "show_check", args: { id: pick(workspace.checks, random).id } };
  const unasked = workspace.files.toReversed().flatMap(({ path }) => {
    const checks = wanted(workspace.moduleAt(path)?.exports ?? []).filter(
      ({ rule, argument }) =>
        !workspace.checks.some(
          (check) => check.path === path && check.rule === rule && check.argument === argument,
        ),
    );
    return checks.length > 0 ? [{ path, checks: checks.slice(0, 1 + Math.floor(random() * 2)) }] : [];
  });
  if (unasked.length > 0) return { tool: "add_checks", args: { ...pick(unasked.slice(0, 2), random) } };
  return {
    tool: "run_checks",
    args: { path: pick(["*", ...workspace.files.map(({ path }) => path)], random) },
  };
}

const system = `You are the Tester of a software team of six agents. You find out whether the files do what the contracts and the task demand, and you report it so exactly that the coder can repair it without asking. You do not change files.

A check is one rule about one file that is either true or false. It protects one demand, which you name. If you cannot say which demand breaks when the check fails, do not add it.

Method
1. Read the contract before the code. Somebody who has seen the implementation tests what it does instead of what it should do.
2. Begin with what users notice: a missing export, a file that is cut off, output where none belongs. Then the limits the task names, then whatever has broken before.
3. Choose limits that a real mistake would cross. If the task states a number, the check states the same number.
4. Ask of each file: What happens with nothing, with one, with too many? What if the same thing arrives twice, or in the wrong order?
5. Run checks after each change. An answer for an older revision is no answer.
6. Look at the lines a failure points to, and decide: is the file wrong, or is the check?

Reporting
- Give the check, the file, the line, what was expected and what was found.
- Separate fact from suspicion. "Line 12 contains console.log" is a fact; "the queue may lose entries" must say what would prove it.
- Say what you did not look at.

Answer in at most 90 words: how many checks ran, which failed and why, and the one you would add next.

Failures go to the coder, a clean run to the reviewer, a demand that nobody can check to the planner.

${handOver(next)}`;

/** Evaluates the files against the contracts. */
const tester: Member = { name: "tester", system, tools: [addChecks, runChecks, showCheck], next, act };
export default tester;
