import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { contractsFor } from "../sketches.ts";
import { pick, topicsOf, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["planner", "coder", "reviewer"];

const recordDecision = defineTool({
  name: "record_decision",
  description: "Records a design decision so that nobody argues it again without new facts.",
  schema: z.strictObject({
    title: z.string().max(80).describe("The question that is decided, in a few words"),
    choice: z.string().max(200).describe("What we do"),
    reason: z.string().max(300).describe("Why, with the demand of the task that it serves"),
    rejected: z.string().max(200).describe("The best alternative and what speaks against it"),
  }),
  run: ({ title, choice, reason, rejected }, workspace) => {
    const earlier = workspace.decisions.findLast((decision) => decision.title === title);
    const { id } = workspace.decide({ title, choice, reason });
    return workspace.report(
      `Recorded ${id}, ${title}: ${choice}. Reason: ${reason}. Rejected: ${rejected}.`,
      earlier ? `It replaces ${earlier.id}, which chose: ${earlier.choice}.` : "",
    );
  },
});

const defineModules = defineTool({
  name: "define_modules",
  description:
    "Defines contracts of modules, or replaces them. The coder writes exactly these exports and imports no module that is not listed.",
  schema: z.strictObject({
    modules: z
      .array(
        z.strictObject({
          path: z
            .string()
            .regex(/^src\/[a-z-]+\.ts$/)
            .describe("File of the module, such as src/order-store.ts"),
          purpose: z
            .string()
            .max(160)
            .describe("Its one reason to exist; completes the words: this module …"),
          exports: z.array(z.string().regex(/^\w+$/)).min(1).max(6).describe("Names it exports"),
          uses: z.array(z.string()).max(6).describe("Paths it may import; empty for a leaf"),
        }),
      )
      .min(1)
      .max(4)
      .describe("The contracts, leaves first"),
  }),
  run: ({ modules }, workspace) => {
    const told = modules.map((contract) => {
      const earlier = workspace.defineModule(contract);
      const { path, purpose, exports, uses } = contract;
      const follow = earlier && workspace.fileAt(path) ? "; its file exists already and must follow" : "";
      return `${earlier ? "Replaced" : "Defined"} ${path}: it ${purpose}, exports ${exports.join(", ")} and uses ${uses.join(", ") || "no other module"}${follow}.`;
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
  description:
    "Examines the contracts: import cycles, uses of modules that have no contract, names exported twice, files that lack an export.",
  schema: z.strictObject({
    path: z.string().describe("One module to examine, or * for all of them"),
  }),
  run: ({ path }, workspace) => {
    const modules = workspace.modules.filter((contract) => path === "*" || contract.path === path);
    const problems = modules.flatMap((contract) => problemsOf(contract.path, workspace));
    const names = modules.map((contract) => contract.path).join(", ") || "nothing";
    return workspace.report(
      `Examined ${count(modules.length, "contract")} (${names}) and found ${count(problems.length, "problem")}.`,
      problems.length > 0 ? `${problems.join("; ")}.` : "Imports run one way and no name is exported twice.",
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

/** Questions that nearly every program has to settle, with both sides. */
function decisionsAbout(topic: string): readonly (readonly [string, string, string, string])[] {
  return [
    [
      `Identity of a ${topic}`,
      `every ${topic} carries an id that its creator chooses`,
      `tests and retries can then name a ${topic} before it is stored`,
      `ids given by the store, because a lost answer would leave the caller without one`,
    ],
    [
      `Failure of a ${topic}`,
      `a ${topic} that breaks a rule is returned with the list of its problems; only misuse throws`,
      `the user wants to see all problems at once and not one after the other`,
      `an exception for the first problem, because callers would need a loop to learn the second`,
    ],
    [
      `Time and the ${topic}`,
      `the clock is a parameter wherever the age of a ${topic} matters`,
      `the task speaks of limits that a test must be able to reach without waiting`,
      `reading the system clock, because such tests fail on slow machines`,
    ],
    [
      `Growth of the ${topic} list`,
      `the number of entries kept for a ${topic} has a limit with a stated default`,
      `a process that runs for weeks must not fill its memory`,
      `keeping everything, because nobody notices until it is too late`,
    ],
    [
      `Changes to a ${topic}`,
      `a ${topic} is never changed in place; a new revision replaces it`,
      `readers keep a consistent view while somebody writes`,
      `locks around mutable fields, because every new caller could forget one`,
    ],
    [
      `Text form of a ${topic}`,
      `one line of text per ${topic}, written and read by the same module`,
      `a broken entry then spoils one line and not the file`,
      `one large document, because a single mistake makes all of it unreadable`,
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
  const [title, choice, reason, rejected] = pick(decisionsAbout(pick(topics, random)), random);
  return { tool: "record_decision", args: { title, choice, reason, rejected } };
}

const system = `You are the Architect of a software team of six agents. The planner says what has to exist; you decide which parts it consists of, what each part promises and who may depend on whom. You write contracts, not code. A good contract lets the coder work without reading any other module and lets the tester fail a wrong implementation.

Principles
- A module has one reason to exist. If its purpose needs the word "and", it is two modules.
- Data flows one way. Rules know nothing of storage, storage knows nothing of text formats, and only the outermost part talks to the world. A cycle is always a design error, never bad luck.
- Choose the boring solution. A map, a sorted array or one pass over the input beats a framework until a number in the task says otherwise.
- Every limit has a name, a unit and a default: sizes, ages, retries, lengths. Whatever can grow has an upper bound.
- Errors are part of the interface. Say which inputs are refused, which are repaired and which are the caller's own fault.

Method
1. Read the plan and the existing contracts. Extend what is there before you add something new.
2. Decide first what would be dear to change later: identity, ordering, text formats, units. Record each as a decision, together with the best alternative you rejected.
3. Define modules from the leaves upwards, so that everything a contract uses exists already.
4. Check the design after every second change, and repair what the check reports before you hand over.

Done means: each demand of the task has a module that answers for it, exported names are unique, imports run one way, and the coder can start with any leaf.

Answer in at most 150 words. State what you decided, what it rules out, and which module to write first. Quote paths and exported names exactly as they stand in the contracts.

Hand-over: contracts that are ready go to the coder; a demand that cannot be met as planned goes back to the planner with the reason; a doubt about existing code goes to the reviewer.

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
