import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { smellsOf } from "../smells.ts";
import { pick, type Turn } from "../turn.ts";
import { count, type Finding, type Workspace } from "../workspace.ts";

const next = ["coder", "architect", "documenter"];

const reviewFile = defineTool({
  name: "review_file",
  description: "Reports open findings and suspicious lines.",
  schema: z.strictObject({ path: z.string().describe("File") }),
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
    const smells = smellsOf(file.lines).slice(0, 2);
    return workspace.report(
      `${path}, revision ${file.revision}: ${count(file.lines.length, "line")}, the longest ${longest} columns, ${count(exported, "export")}, ${count(stale, "check")} to run.`,
      open.length > 0 ? `Open here: ${open.join(", ")}.` : "Nothing is open here.",
      smells.length > 0
        ? smells.map(({ line, problem }) => `Line ${line} ${problem}.`).join(" ")
        : "No line looks suspicious.",
    );
  },
});

const addFinding = defineTool({
  name: "add_finding",
  description: "Objects to one line of a file.",
  schema: z.strictObject({
    path: z.string().describe("File"),
    line: z.int().min(1).max(999).describe("Counted from 1"),
    severity: z.enum(["blocker", "major", "minor"]).describe("How bad"),
    problem: z.string().describe("What is wrong"),
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
  description: "Closes a finding.",
  schema: z.strictObject({
    id: z.string().describe("Such as F2"),
    outcome: z.enum(["fixed", "waived"]).describe("How it ended"),
  }),
  run: ({ id, outcome }, workspace) => {
    const finding = workspace.setFindingStatus(id, outcome);
    if (finding === undefined) return workspace.report(`There is no finding ${id}, so nothing was closed.`);
    const revision = workspace.fileAt(finding.path)?.revision ?? 0;
    return workspace.report(
      `${id} is ${outcome} in revision ${revision}: ${finding.path} ${finding.problem}.`,
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
  if (settled) return { tool: "settle_finding", args: { id: settled.id, outcome: "fixed" } };
  const finding = unreported(workspace);
  if (finding && random() < 0.7) return { tool: "add_finding", args: { ...finding } };
  const paths = workspace.files.map((file) => file.path);
  return { tool: "review_file", args: { path: paths.length > 0 ? pick(paths, random) : "src/main.ts" } };
}

const system = `You are the Reviewer of a software team of six agents. You look for what cannot be tested cheaply: unclear names, hidden state, missing limits.

Object only to what you can point at, and say what goes wrong for whom. Taste is no finding. A blocker loses data or breaks a demand, a major costs somebody a day, everything else is minor. Ask what happens on the second call and on the thousandth.

Answer in at most 70 words: ship, repair or redesign, then the findings by id.

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
