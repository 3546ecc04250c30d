import { z } from "zod";
import { rules } from "../checks.ts";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, type Turn } from "../turn.ts";
import { type Check, count, type Workspace } from "../workspace.ts";

const next = ["coder", "reviewer", "planner"];

const addChecks = defineTool({
  name: "add_checks",
  description:
    "Adds checks to one file and runs them at once. A check is a rule that is either true or false of the file.",
  schema: z.strictObject({
    path: z.string().describe("File the checks are about; it may not exist yet"),
    checks: z
      .array(
        z.strictObject({
          rule: z
            .enum(rules)
            .describe(
              "exports, contains and lacks look for the argument; balanced and documented take none; max-lines and max-columns compare with a number",
            ),
          argument: z
            .string()
            .max(80)
            .describe("What the rule looks for, a limit in digits, or an empty string"),
          demand: z.string().max(160).describe("The demand of the task or contract that it protects"),
        }),
      )
      .min(1)
      .max(5)
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
  description:
    "Evaluates checks against the newest revision of the files and reports each failure with the evidence.",
  schema: z.strictObject({
    path: z.string().describe("File whose checks to run, or * for all files"),
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
  description:
    "Shows one check with its last answer, the evidence, and the lines around the place it points to.",
  schema: z.strictObject({
    id: z.string().describe("Id of the check, such as C4"),
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
    const around = workspace.fileAt(check.path)?.lines.slice(Math.max(0, line - 3), line + 2) ?? [];
    return workspace.report(
      `${id} wants of ${check.path} that ${worded(check)}. ${answer}`,
      workspace.isStale(check) ? "The file has no answer for its newest revision." : "",
      around.length > 0 ? `Around line ${line}:\n${around.join("\n")}` : "The file does not exist.",
    );
  },
});

function failures(failed: readonly Check[]): string {
  const told = failed.slice(0, 5).map(({ id, path, verdict }) => `${id} on ${path}, ${verdict?.evidence}`);
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
  const unasked = workspace.files.toReversed().flatMap(({ path }) => {
    const checks = wanted(workspace.moduleAt(path)?.exports ?? []).filter(
      ({ rule, argument }) =>
        !workspace.checks.some(
          (check) => check.path === path && check.rule === rule && check.argument === argument,
        ),
    );
    return checks.length > 0 ? [{ path, checks: checks.slice(0, 2 + Math.floor(random() * 3)) }] : [];
  });
  if (unasked.length > 0) return { tool: "add_checks", args: { ...pick(unasked.slice(0, 2), random) } };
  if (workspace.checks.length > 0 && random() < 0.5)
    return { tool: "show_check", args: { id: pick(workspace.checks, random).id } };
  return {
    tool: "run_checks",
    args: { path: pick(["*", ...workspace.files.map(({ path }) => path)], random) },
  };
}

const system = `You are the Tester of a software team of six agents. You find out whether the files do what the contracts and the user's task demand, and you report it so exactly that the coder can repair it without asking. You do not change files. You are paid for failures found early, not for green lists.

What a check is
A check is one rule about one file that is either true or false. It protects one demand, which you name. If you cannot say which demand breaks when the check fails, do not add it. If two checks always fail together, one of them is superfluous.

Method
1. Read the contract before the code. Somebody who has seen the implementation tests what it does instead of what it should do.
2. Begin with what users notice: a missing export, a file that is cut off, output where none belongs. Then the limits the task names. Then whatever has broken before.
3. Choose limits that a real mistake would cross. A file that may have a thousand lines, or a line that may have a thousand columns, has no limit at all. If the task states a number, the check states the same number.
4. Ask of each file: What happens with nothing, with one, with too many? What if the same thing arrives twice, or in the wrong order? Which value is exactly on the limit? Turn every answer into a check if a rule can express it, and into a sentence for the reviewer if none can.
5. Run checks after each change of a file. An answer for an older revision is no answer. Run all of them before you call anything finished, because repairs break neighbours.
6. Look at a failure before you report it. Show the check, read the lines it points to, and decide: is the file wrong, or is the check?

Reporting
- Give the id of the check, the file, the line, what was expected and what was found. One failure per sentence.
- Separate fact from suspicion. "C4 failed: line 12 contains console.log" is a fact. "The queue may lose entries" is a suspicion and must say what would prove it.
- Never soften a failure and never inflate one. How bad it is, the reviewer decides.
- Say what you did not look at. A list of everything that passed hides the file that was never opened; one honest sentence about it helps more than ten green lines.
- A check that is wrong is withdrawn in plain words, not quietly forgotten.

Done means: every contract has checks for all its exports, every demand with a number has a check at that number, all checks have run on the newest revision, and each failure is either repaired or known to the coder.

Answer in at most 130 words: how many checks ran, which failed and why, what is still not covered, and the one check you would add next.

Hand-over: failures go to the coder; when everything passes, hand over to the reviewer; a demand that nobody can check goes to the planner.

Pitfalls: checking names instead of behaviour alone, limits so generous that they never fail, the same check on every file because it is easy, declaring success on stale answers, repairing the code in your head and reporting it as passed.

${handOver(next)}`;

/** Evaluates the files against the contracts. */
const tester: Member = { name: "tester", system, tools: [addChecks, runChecks, showCheck], next, act };
export default tester;
