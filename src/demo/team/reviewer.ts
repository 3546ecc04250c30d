import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { smellsOf } from "../smells.ts";
import { pick, type Turn } from "../turn.ts";
import { count, type Finding, type Workspace } from "../workspace.ts";

const next = ["coder", "architect", "documenter"];

const reviewFile = defineTool({
  name: "review_file",
  description: "Reads a file for you: size, exports, unanswered checks, open findings and suspicious lines.",
  schema: z.strictObject({ path: z.string().describe("File to review") }),
  run: ({ path }, workspace) => {
    const file = workspace.fileAt(path);
    if (file === undefined)
      return workspace.report(
        `There is no file ${path} to review; ${count(workspace.files.length, "file")} exist.`,
      );
    const exported = file.lines.filter((line) => line.startsWith("export ")).length;
    const longest = Math.max(...file.lines.map((line) => line.length));
    const stale = workspace.checks.filter((check) => check.path === path && workspace.isStale(check)).length;
    const open = workspace.openFindings.filter((finding) => finding.path === path).map(({ id }) => id);
    const smells = smellsOf(file.lines).slice(0, 4);
    return workspace.report(
      `${path}, revision ${file.revision}: ${count(file.lines.length, "line")}, the longest ${longest} columns, ${count(exported, "export")}, ${count(stale, "check")} to run.`,
      open.length > 0 ? `Open here: ${open.join(", ")}.` : "Nothing is open here.",
      smells.length > 0
        ? smells.map(({ line, problem }) => `Line ${line} ${problem}.`).join(" ")
        : "No line looks suspicious; judge names, limits and failure paths yourself.",
    );
  },
});

const addFinding = defineTool({
  name: "add_finding",
  description: "Records an objection to one line of a file.",
  schema: z.strictObject({
    path: z.string().describe("File concerned"),
    line: z.int().min(1).max(5000).describe("Line, counted from 1"),
    severity: z.enum(["blocker", "major", "minor"]).describe("blocker: must not ship"),
    problem: z.string().max(240).describe("What the code does wrong, as a verb phrase"),
  }),
  run: (args, workspace) => {
    const text = workspace.fileAt(args.path)?.lines[args.line - 1];
    if (text === undefined)
      return workspace.report(
        `No finding recorded: ${args.path} has no line ${args.line}. Review the file first.`,
      );
    const { id } = workspace.addFinding(args);
    return workspace.report(
      `Recorded ${id}, ${args.severity}: ${args.path} line ${args.line} ${args.problem}. The line reads: ${text.trim()}`,
    );
  },
});

const settleFinding = defineTool({
  name: "settle_finding",
  description: "Closes a finding after you have looked at the newest revision.",
  schema: z.strictObject({
    id: z.string().describe("Id of the finding, such as F2"),
    outcome: z.enum(["fixed", "waived"]).describe("waived: it is true, but we accept it"),
    reason: z.string().max(200).describe("What you saw"),
  }),
  run: ({ id, outcome, reason }, workspace) => {
    const finding = workspace.setFindingStatus(id, outcome);
    if (finding === undefined) return workspace.report(`There is no finding ${id}, so nothing was closed.`);
    const left = workspace.openFindings.filter(({ path }) => path === finding.path).length;
    return workspace.report(
      `${id} is ${outcome}: ${reason}. It said that ${finding.path} ${finding.problem}. ${count(left, "finding")} of this file stay open.`,
    );
  },
});

function unreported(workspace: Workspace): Omit<Finding, "id" | "status"> | undefined {
  for (const { path, lines } of workspace.files)
    for (const { line, problem } of smellsOf(lines))
      if (!workspace.findings.some((finding) => finding.path === path && finding.problem === problem))
        return { path, line, problem, severity: problem.startsWith("prints") ? "blocker" : "minor" };
  return undefined;
}

function act({ random }: Turn, workspace: Workspace): ToolCall {
  const settled = workspace.openFindings.find(
    ({ path, problem }) =>
      !smellsOf(workspace.fileAt(path)?.lines ?? []).some((smell) => smell.problem === problem),
  );
  if (settled) {
    const { id, path } = settled;
    const reason = `revision ${workspace.fileAt(path)?.revision} of ${path} no longer does this`;
    return { tool: "settle_finding", args: { id, outcome: "fixed", reason } };
  }
  const finding = unreported(workspace);
  if (finding && random() < 0.7) return { tool: "add_finding", args: { ...finding } };
  const paths = workspace.files.map((file) => file.path);
  return { tool: "review_file", args: { path: paths.length > 0 ? pick(paths, random) : "src/main.ts" } };
}

const system = `You are the Reviewer of a software team of six agents. You read what was written as the person who will have to repair it a year from now. The tester has shown what works; you look for what cannot be tested cheaply: unclear names, hidden state, missing limits, careless failure paths, work done twice.

Read in this order: the task, the contract, the file, the checks. Object only to what you can point at, with file and line, and say what goes wrong for whom. Taste is no finding. One finding per cause; do not list its symptoms.

Severity: a blocker loses data, leaks, or breaks a demand. A major will cost somebody a day. Everything else is minor, and three minors per file are enough.

Ask four questions of every file. What does it assume that nobody promised? What happens on the second call, and on the thousandth? Which name would mislead somebody who reads only the signature? Which line could go without anybody missing it? An answer that surprises you is a finding; an answer that merely differs from your own habit is not.

Verify repairs yourself on the newest revision before you settle a finding. Waive what is true but not worth the change, with the reason.

Answer in at most 100 words: your verdict first (ship, repair or redesign), then the findings by id. Praise nothing in general.

Repairs go to the coder, faulty contracts to the architect, a clean result to the documenter.

${handOver(next)}`;

/** Objects to what cannot be tested cheaply. */
const reviewer: Member = {
  name: "reviewer",
  system,
  tools: [reviewFile, addFinding, settleFinding],
  next,
  act,
};
export default reviewer;
