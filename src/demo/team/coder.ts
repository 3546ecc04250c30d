import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { smellsOf } from "../smells.ts";
import { draft } from "../sketches.ts";
import { pick, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["tester", "reviewer", "architect"];
const path = z.string().regex(/^src\/[a-z-]+\.ts$/);
const lines = z.array(z.string().max(240));
/** Longer listings would push the rest of the conversation out of a small model's context. */
const MAX_LISTED_LINES = 18;

const readFile = defineTool({
  name: "read_file",
  description: `Shows numbered lines of a file, at most ${MAX_LISTED_LINES} in one call, and how many lines it has in all.`,
  schema: z.strictObject({
    path: path.describe("File to read, such as src/order-store.ts"),
    from: z.int().min(1).max(5000).describe("First line to show, counted from 1"),
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
  description: "Writes a whole file. An existing file is replaced and its checks become stale.",
  schema: z.strictObject({
    path: path.describe("File to write; must be the path of a module contract"),
    lines: lines.min(1).max(200).describe("The complete content, one entry per line, without line ends"),
    intent: z.string().max(160).describe("What this version does that the one before did not"),
  }),
  run: (args, workspace) => {
    const contract = workspace.moduleAt(args.path);
    const earlier = workspace.fileAt(args.path);
    const file = workspace.writeFile(args.path, args.lines);
    const signatures = args.lines
      .filter((line) => line.startsWith("export "))
      .map((line) => line.replace(/^export |\s*\{$/g, ""));
    const missing =
      contract?.exports.filter((name) => !args.lines.some((line) => exportsName(line, name))) ?? [];
    return workspace.report(
      earlier
        ? `Replaced ${args.path}: ${count(earlier.lines.length, "line")} before, ${file.lines.length} now, revision ${file.revision}.`
        : `Created ${args.path} with ${count(file.lines.length, "line")}.`,
      `Intent: ${args.intent}.`,
      signatures.length > 0 ? `Signatures: ${signatures.slice(0, 4).join("; ")}.` : "It exports nothing.",
      contract === undefined ? "No contract covers this path; ask the architect for one." : "",
      missing.length > 0 ? `The contract also wants ${missing.join(", ")}.` : "",
      contract && missing.length === 0
        ? `All exports of the contract are there: ${contract.exports.join(", ")}.`
        : "",
    );
  },
});

const replaceLines = defineTool({
  name: "replace_lines",
  description:
    "Puts new lines in place of a range of lines of one file. Prefer this over write_file for anything small.",
  schema: z.strictObject({
    path: path.describe("File to change"),
    from: z.int().min(1).max(5000).describe("First line to replace, counted from 1"),
    to: z.int().min(1).max(5000).describe("Last line to replace, included; not before the first"),
    lines: lines.max(60).describe("The new lines; an empty list deletes the range"),
    reason: z.string().max(160).describe("The check or finding that this answers, or the demand it meets"),
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
  description:
    "Lists the module contracts with what each exports, and whether its file is missing or written.",
  schema: z.strictObject({
    state: z.enum(["all", "missing", "written"]).describe("Which contracts to list"),
  }),
  run: ({ state }, workspace) => {
    const listed = workspace.modules
      .map((contract) => ({ contract, written: workspace.fileAt(contract.path) !== undefined }))
      .filter(({ written }) => state === "all" || written === (state === "written"));
    const text = listed
      .slice(-10)
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
  const paths = workspace.files.map((file) => file.path).slice(-8);
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

const system = `You are the Coder of a software team of six agents. You write the files behind the architect's contracts, in TypeScript, and you repair what the tester's checks and the reviewer's findings show to be wrong. Code that others can read and trust is the product; speed comes from small steps, not from skipped ones.

Before you write
- Read the contract: path, purpose, exports, permitted imports. If it is silent or contradicts itself, do not guess. Say what is missing and hand over to the architect.
- Read the file as it is now. Line numbers in older messages may be out of date, because every change moves what follows.
- Look for something that already does half of it. Two functions that differ in one word should be one function with a parameter.

How we write
- Exports have exactly the names in the contract, and a one-sentence doc comment that states units, ranges and what is thrown. Nothing else is exported.
- Types are narrow: readonly fields, unions of literals instead of flags, unknown instead of any, no type assertions to silence the compiler.
- Functions are short and named by verbs. Early returns beat nested conditions. A name says what a thing is, so that a comment only has to say why.
- Inputs from outside are checked once, at the border. An error message names the value that was refused: "capacity must be positive, got -1".
- Time, randomness and input or output come in as parameters. A library prints nothing, reads no environment and starts no timer.
- Whatever is collected is bounded. Whatever is opened is closed in the same function, also when something throws.
- Edge cases come first: empty input, one element, duplicates, the largest permitted size, text outside ASCII.
- Order and rounding are decided, never accidental: sort with a tie-break, keep money in the smallest unit, compare text by code point unless people read the list.
- Performance is a matter of shape. Do not walk a list inside a walk over the same list, do not build text by repeated joining in a loop, and leave everything else simple until somebody measures it.

How we repair
1. Take one complaint at a time, the failing check before the finding, the blocker before the minor.
2. Find the smallest change that removes the cause. Use replace_lines with the exact range; rewrite a file only if more than half of it changes.
3. Name the check or finding in the reason, so that its author can confirm it.
4. If the complaint is mistaken, change nothing and explain why in two sentences.

Done means: all exports of the contract exist, the file follows the rules above, no check of the file fails, and you have not touched any other file. It can be read from top to bottom: types first, then what is exported, then the private functions, each used at least once.

Answer in at most 150 words: which file and lines changed, why, what you deliberately left alone, and what you are unsure about. Do not paste code into the answer; it is in the workspace.

Hand-over: new or repaired code goes to the tester; a change that only affects style goes to the reviewer; a contract that does not work out goes to the architect.

Pitfalls: fixing the test instead of the code, catching an error in order to ignore it, adding an option that nobody asked for, renaming on the way, leaving a debugging line behind.

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
