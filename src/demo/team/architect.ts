import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { contractsFor } from "../sketches.ts";
import { pick, topicsOf, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["planner", "coder", "reviewer"];

const recordDecision = defineTool({
  name: "record_decision",
  description: "Records a design decision.",
  schema: z.strictObject({
    title: z.string().describe("The question"),
    choice: z.string().describe("What we do"),
    reason: z.string().describe("The demand that it serves"),
  }),
  run: ({ title, choice, reason }, workspace) => {
    const earlier = workspace.decisions.findLast((decision) => decision.title === title);
    const { id } = workspace.decide({ title, choice, reason });
    return workspace.report(
      `Recorded ${id}, ${title}: ${choice}, because ${reason}.`,
      earlier ? `It replaces ${earlier.id}.` : "",
    );
  },
});

const defineModules = defineTool({
  name: "define_modules",
  description: "Defines or replaces contracts of modules. The coder writes exactly these exports.",
  schema: z.strictObject({
    modules: z
      .array(
        z.strictObject({
          path: z.string().describe("Such as src/order-store.ts"),
          purpose: z.string().describe("Completes the words: this module …"),
          exports: z.array(z.string()).describe("Exported names"),
          uses: z.array(z.string()).describe("Paths it may import"),
        }),
      )
      .max(4)
      .describe("The contracts, leaves first"),
  }),
  run: ({ modules }, workspace) => {
    const told = modules.map((contract) => {
      const earlier = workspace.defineModule(contract);
      const { path, purpose, exports } = contract;
      const follow = earlier && workspace.fileAt(path) ? "; its file must follow" : "";
      return `${earlier ? "Replaced" : "Defined"} ${path}: it ${purpose} (${exports.join(", ")})${follow}.`;
    });
    const unknown = modules.flatMap(({ uses }) => uses).filter((path) => !workspace.moduleAt(path));
    return workspace.report(
      ...told,
      unknown.length > 0 ? `Still without a contract: ${[...new Set(unknown)].join(", ")}.` : "",
    );
  },
});

const checkDesign = defineTool({
  name: "check_design",
  description: "Finds import cycles, names exported twice and missing exports.",
  schema: z.strictObject({
    path: z.string().describe("Module to examine, or * for all"),
  }),
  run: ({ path }, workspace) => {
    const modules = workspace.modules.filter((contract) => path === "*" || contract.path === path);
    const problems = modules.flatMap((contract) => problemsOf(contract.path, workspace));
    return workspace.report(
      `Examined ${count(modules.length, "contract")} (${path}) and found ${count(problems.length, "problem")}.`,
      problems.length > 0
        ? `${problems.slice(0, 3).join("; ")}.`
        : "Imports run one way and no name is exported twice.",
    );
  },
});

function problemsOf(path: string, workspace: Workspace): readonly string[] {
  const contract = workspace.moduleAt(path);
  if (contract === undefined) return [];
  const problems = contract.uses
    .filter((used) => workspace.moduleAt(used) === undefined)
    .map((used) => `${path} uses ${used}, which has no contract`);
  if (reaches(path, path, workspace)) problems.push(`${path} imports itself by way of others`);
  for (const other of workspace.modules)
    for (const name of other.path === path ? [] : contract.exports)
      if (other.exports.includes(name)) problems.push(`${name} is exported by ${path} and by ${other.path}`);
  const file = workspace.fileAt(path);
  if (file === undefined) return problems;
  const missing = contract.exports.filter(
    (name) => !file.lines.some((line) => line.startsWith("export") && line.includes(name)),
  );
  return [...problems, ...missing.map((name) => `${path} does not export ${name} yet`)];
}

/** Whether following `uses` from one module, by at least one step, arrives at another. */
function reaches(from: string, target: string, workspace: Workspace): boolean {
  const seen = new Set<string>();
  const pending = [...(workspace.moduleAt(from)?.uses ?? [])];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (path === target) return true;
    if (seen.has(path)) continue;
    seen.add(path);
    pending.push(...(workspace.moduleAt(path)?.uses ?? []));
  }
  return false;
}

/** Questions that nearly every program has to settle. */
function decisionsAbout(
  topic: string,
): readonly (readonly [title: string, choice: string, reason: string])[] {
  return [
    [
      `Identity of a ${topic}`,
      `every ${topic} carries an id that its creator chooses`,
      `tests and retries can then name a ${topic} before it is stored`,
    ],
    [
      `Failure of a ${topic}`,
      `a ${topic} that breaks a rule is returned with the list of its problems; only misuse throws`,
      `the user wants to see all problems at once and not one after the other`,
    ],
    [
      `Time and the ${topic}`,
      `the clock is a parameter wherever the age of a ${topic} matters`,
      `the task speaks of limits that a test must be able to reach without waiting`,
    ],
    [
      `Growth of the ${topic} list`,
      `the number of entries kept for a ${topic} has a limit with a stated default`,
      `a process that runs for weeks must not fill its memory`,
    ],
    [
      `Changes to a ${topic}`,
      `a ${topic} is never changed in place; a new revision replaces it`,
      `readers keep a consistent view while somebody writes`,
    ],
    [
      `Text form of a ${topic}`,
      `one line of text per ${topic}, written and read by the same module`,
      `a broken entry then spoils one line and not the file`,
    ],
  ];
}

function act({ task, random }: Turn, workspace: Workspace): ToolCall {
  const topics = topicsOf(task).slice(0, 6);
  const planned = topics.flatMap((topic) => contractsFor(topic));
  const open = planned.filter((contract) => workspace.moduleAt(contract.path) === undefined);
  const unwritten = workspace.modules.filter(
    (contract) => workspace.fileAt(contract.path) === undefined,
  ).length;
  if (workspace.modules.length === 0 || (open.length > 0 && unwritten < 3 && random() < 0.6)) {
    const first = Math.floor(random() * Math.min(4, open.length));
    const modules = open.slice(first, first + 1 + Math.floor(random() * 3));
    return { tool: "define_modules", args: { modules } };
  }
  if (workspace.modules.length > 0 && random() < 0.35)
    return {
      tool: "check_design",
      args: { path: pick(["*", ...workspace.modules.map(({ path }) => path)], random) },
    };
  const [title, choice, reason] = pick(decisionsAbout(pick(topics, random)), random);
  return { tool: "record_decision", args: { title, choice, reason } };
}

const system = `You are the Architect of a software team of six agents. The planner says what has to exist; you decide which parts it consists of and what each promises. You write contracts, not code.

Principles
- A module has one reason to exist. If its purpose needs the word "and", it is two modules.
- Data flows one way: rules know nothing of storage, and only the outermost part talks to the world.
- Choose the boring solution.
- Every limit has a unit and a default. Errors are part of the interface.

Method
1. Extend what is there before you add something new.
2. Decide first what would be dear to change later: identity, ordering, text formats, units.
3. Define modules from the leaves upwards, and check the design before you hand over.

Answer in at most 100 words: what you decided, what it rules out, which module to write first.

Contracts that are ready go to the coder, a demand that cannot be met to the planner, a doubt about existing code to the reviewer.

${handOver(next)}`;

/** Decides which modules exist and what each promises. */
const architect: Member = {
  name: "architect",
  system,
  tools: [recordDecision, defineModules, checkDesign],
  next,
  act,
};
export default architect;
