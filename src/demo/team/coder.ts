import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { smellsOf } from "../smells.ts";
import { draft } from "../sketches.ts";
import { pick, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["tester", "reviewer", "architect"];
const path = z.string();
const lines = z.array(z.string());
/** Longer listings would push the rest of the conversation out of a small model's context. */
const MAX_LISTED_LINES = 6;

const readFile = defineTool({
  name: "read_file",
  description: `Shows at most ${MAX_LISTED_LINES} numbered lines of a file.`,
  schema: z.strictObject({
    path: path.describe("Such as src/order-store.ts"),
    from: z.int().min(1).max(999).describe("First line, counted from 1"),
  }),
  run: (args, workspace) => {
    const file = workspace.fileAt(args.path);
    if (file === undefined) return workspace.report(`There is no file ${args.path}. ${known(workspace)}`);
    const shown = file.lines.slice(args.from - 1, args.from - 1 + MAX_LISTED_LINES);
    const numbered = shown.map((line, index) => `${args.from + index}: ${line}`).join("\n");
    return workspace.report(
      `${args.path}, revision ${file.revision}, has ${count(file.lines.length, "line")}.`,
      shown.length === 0 ? `Line ${args.from} is past its end.` : `From line ${args.from}:\n${numbered}`,
    );
  },
});

const writeFile = defineTool({
  name: "write_file",
  description: "Writes a whole file. Its checks become stale.",
  schema: z.strictObject({
    path: path.describe("Path of a module contract"),
    lines: lines.max(200).describe("The content, one entry per line"),
    intent: z.string().describe("What is new in this version"),
  }),
  run: (args, workspace) => {
    const contract = workspace.moduleAt(args.path);
    const earlier = workspace.fileAt(args.path);
    const file = workspace.writeFile(args.path, args.lines);
    const missing =
      contract?.exports.filter((name) => !args.lines.some((line) => exportsName(line, name))) ?? [];
    return workspace.report(
      earlier
        ? `Replaced ${args.path}: ${count(earlier.lines.length, "line")} before, ${file.lines.length} now, revision ${file.revision}.`
        : `Created ${args.path} with ${count(file.lines.length, "line")}.`,
      `Intent: ${args.intent}.`,
      contract === undefined ? "No contract covers this path; ask the architect for one." : "",
      missing.length > 0 ? `The contract also wants ${missing.join(", ")}.` : "",
      contract && missing.length === 0 ? `It exports ${contract.exports.join(", ")} as agreed.` : "",
    );
  },
});

const replaceLines = defineTool({
  name: "replace_lines",
  description: "Replaces a range of lines. Prefer it for anything small.",
  schema: z.strictObject({
    path: path.describe("File to change"),
    from: z.int().min(1).max(999).describe("First line to replace"),
    to: z.int().min(1).max(999).describe("Last line, included"),
    lines: lines.max(60).describe("New lines; none deletes the range"),
    reason: z.string().describe("Check or finding it answers"),
  }),
  run: (args, workspace) => {
    const before = workspace.fileAt(args.path)?.lines.slice(args.from - 1, args.to) ?? [];
    const file = workspace.replaceLines(args.path, args.from, args.to, args.lines);
    if (file === undefined)
      return workspace.report(
        `Nothing changed: ${args.path} has no lines ${args.from} to ${args.to}. Read the file first. ${known(workspace)}`,
      );
    return workspace.report(
      `Changed ${args.path} at line ${args.from}, now revision ${file.revision}, because ${args.reason}.`,
      `Out: ${before.map((line) => line.trim()).join(" ") || "an empty line"}`,
      `In: ${args.lines.map((line) => line.trim()).join(" ") || "nothing, the lines are gone"}`,
    );
  },
});

const listModules = defineTool({
  name: "list_modules",
  description: "Lists module contracts and their exports.",
  schema: z.strictObject({
    state: z.enum(["all", "missing", "written"]).describe("State of their files"),
  }),
  run: ({ state }, workspace) => {
    const listed = workspace.modules
      .map((contract) => ({ contract, written: workspace.fileAt(contract.path) !== undefined }))
      .filter(({ written }) => state === "all" || written === (state === "written"));
    const text = listed
      .slice(-4)
      .map(
        ({ contract, written }) =>
          `${contract.path} (${written ? "written" : "missing"}) exports ${contract.exports.join(", ")}`,
      )
      .join("; ");
    return workspace.report(
      `${count(listed.length, "contract")} of state "${state}", newest last: ${text || "none"}.`,
    );
  },
});

function exportsName(line: string, name: string): boolean {
  return line.startsWith("export ") && new RegExp(`\\b${name}\\b`).test(line);
}

function known(workspace: Workspace): string {
  const paths = workspace.files.map((file) => file.path).slice(-4);
  return paths.length === 0 ? "No file has been written yet." : `Known files: ${paths.join(", ")}.`;
}

/** The file that somebody waits for: the one of a failing check or an open finding. */
function complaint(workspace: Workspace): { readonly path: string; readonly about: string } | undefined {
  const [check] = workspace.failingChecks;
  if (check) return { path: check.path, about: `check ${check.id} failed: ${check.verdict?.evidence}` };
  const finding = workspace.openFindings.at(-1);
  return finding && { path: finding.path, about: `finding ${finding.id}: the code ${finding.problem}` };
}

function act({ random }: Turn, workspace: Workspace): ToolCall {
  const complained = complaint(workspace);
  const repair = complained && repairOf(workspace, complained.path, complained.about);
  if (repair) return repair;
  const [missing] = workspace.modules.filter((contract) => workspace.fileAt(contract.path) === undefined);
  if (missing) {
    const args = {
      path: missing.path,
      lines: draft(missing, random),
      intent: `first version; it ${missing.purpose}`,
    };
    return { tool: "write_file", args };
  }
  if (workspace.files.length === 0 || random() < 0.2)
    return { tool: "list_modules", args: { state: pick(["all", "missing", "written"], random) } };
  const file = pick(workspace.files, random);
  const own =
    random() < 0.4 ? repairOf(workspace, file.path, "reading it again brought it to light") : undefined;
  const from = 1 + Math.floor((random() * file.lines.length) / 2);
  return own ?? { tool: "read_file", args: { path: file.path, from } };
}

/** The change that removes the first smell of a file; undefined when it has none. */
function repairOf(workspace: Workspace, file: string, reason: string): ToolCall | undefined {
  const [smell] = smellsOf(workspace.fileAt(file)?.lines ?? []);
  if (smell === undefined) return undefined;
  const { line, repaired } = smell;
  return { tool: "replace_lines", args: { path: file, from: line, to: line, lines: repaired, reason } };
}

const system = `You are the Coder of a software team of six agents. You write the files behind the architect's contracts, in TypeScript, and you repair what the tester's checks and the reviewer's findings show to be wrong.

Before you write
- Read the contract. If it is silent or contradicts itself, do not guess; ask the architect.
- Read the file as it is now, because every change moves what follows.

How we write
- Exports have exactly the names in the contract and a doc comment that states units and what is thrown.
- Types are narrow: readonly fields, unknown instead of any.
- Functions are short and named by verbs.
- Inputs from outside are checked once, at the border. An error names the value it refused: "capacity must be positive, got -1".
- Time, randomness and input or output come in as parameters. A library prints nothing and starts no timer.
- Whatever is collected is bounded.
- Edge cases come first: empty input, one element, duplicates.

How we repair
1. Take one complaint at a time, the failing check before the finding.
2. Make the smallest change that removes the cause, and name the check or finding in the reason.
3. Leave what is right as it is.

Answer in at most 100 words: which file and lines changed, why, and what you are unsure about. Do not paste code.

New or repaired code goes to the tester, a change of style to the reviewer, a contract that does not work out to the architect.

${handOver(next)}`;

/** Writes and repairs the files behind the contracts. */
const coder: Member = {
  name: "coder",
  system,
  tools: [listModules, readFile, writeFile, replaceLines],
  next,
  act,
};
export default coder;
