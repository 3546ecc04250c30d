import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, topicsOf, type Turn } from "../turn.ts";
import { count, type Workspace } from "../workspace.ts";

const next = ["architect", "coder", "documenter"];
const owners = ["architect", "coder", "tester", "reviewer", "documenter"] as const;

const addPlanItems = defineTool({
  name: "add_plan_items",
  description:
    "Adds steps to the plan, in order. Ids are given in order as well: the first step of a run is P1.",
  schema: z.strictObject({
    items: z
      .array(
        z.strictObject({
          title: z.string().max(120).describe("What to do, as an order: starts with a verb"),
          done_when: z.string().max(200).describe("An observable fact that proves it"),
          owner: z.enum(owners).describe("Who does it; exactly one agent"),
          after: z.array(z.string()).max(6).describe("Ids of earlier steps it must wait for, such as P2"),
        }),
      )
      .min(1)
      .max(6)
      .describe("The new steps"),
  }),
  run: ({ items }, workspace) =>
    workspace.report(
      ...items.map(({ title, done_when, owner, after }) => {
        const missing = after.filter((id) => !workspace.items.some((item) => item.id === id));
        if (missing.length > 0)
          return `"${title}" was left out: it would wait for ${missing.join(", ")}, which the plan does not hold.`;
        const { id } = workspace.addItem({ title, doneWhen: done_when, owner, after });
        const waits = after.length === 0 ? "can start at once" : `waits for ${after.join(" and ")}`;
        return `${id} for the ${owner}: ${title}; done when ${done_when}; ${waits}.`;
      }),
    ),
});

const setPlanItem = defineTool({
  name: "set_plan_item",
  description: "Changes the status of a step. A step cannot be done before its predecessors.",
  schema: z.strictObject({
    id: z.string().describe("Id of the step, such as P3"),
    status: z.enum(["open", "started", "done"]).describe("The new status"),
    evidence: z.string().max(200).describe("What you saw that justifies the change"),
  }),
  run: ({ id, status, evidence }, workspace) => {
    const item = workspace.items.find((candidate) => candidate.id === id);
    if (item === undefined) return workspace.report(`The plan has no step ${id}, so no status was changed.`);
    const waiting = item.after.filter((before) =>
      workspace.items.some((other) => other.id === before && other.status !== "done"),
    );
    if (status === "done" && waiting.length > 0)
      return workspace.report(`${id} stays ${item.status}: it cannot be done before ${waiting.join(", ")}.`);
    workspace.setItemStatus(id, status);
    const freed = workspace.readyItems.filter((ready) => ready.after.includes(id)).map((ready) => ready.id);
    return workspace.report(
      `${id} (${item.title}) went from ${item.status} to ${status} because ${evidence}.`,
      freed.length > 0 ? `This frees ${freed.join(" and ")}.` : "",
    );
  },
});

const showPlan = defineTool({
  name: "show_plan",
  description: "Lists the steps of one owner, or of everybody, with status and predecessors.",
  schema: z.strictObject({
    owner: z.enum(["all", ...owners]).describe("Whose steps to list"),
  }),
  run: ({ owner }, workspace) => {
    const items = workspace.items.filter((item) => owner === "all" || item.owner === owner);
    const listed = items
      .toReversed()
      .slice(0, 7)
      .map((item) => `${item.id} [${item.status}] ${item.title}${predecessors(item.after)}`);
    return workspace.report(
      `${owner === "all" ? "The whole team" : `The ${owner}`} has ${count(items.length, "step")}, newest first:`,
      listed.length === 0 ? "none so far." : `${listed.join("; ")}.`,
    );
  },
});

function predecessors(ids: readonly string[]): string {
  return ids.length === 0 ? "" : ` (after ${ids.join(", ")})`;
}

/** Steps that a task about `topic` needs, in the order in which they can be done. */
function steps(topic: string): readonly (readonly [title: string, doneWhen: string, owner: string])[] {
  return [
    [
      `Name the parts that deal with the ${topic}`,
      `every part has a path, a purpose and its exports`,
      "architect",
    ],
    [
      `Write the ${topic} modules`,
      `each contract about the ${topic} has a file with all its exports`,
      "coder",
    ],
    [
      `Check the ${topic} modules`,
      `at least two checks per ${topic} file pass on its newest revision`,
      "tester",
    ],
    [`Review how the ${topic} fails`, `no open finding about the ${topic} is a blocker`, "reviewer"],
    [
      `Explain the ${topic} to a new user`,
      `the guide mentions every export about the ${topic}`,
      "documenter",
    ],
  ];
}

function act({ task, random }: Turn, workspace: Workspace): ToolCall {
  const { items } = workspace;
  const started = items.find((item) => item.status === "started");
  const [ready] = workspace.readyItems;
  if (started && random() < 0.8) {
    const evidence = `the ${started.owner} reports that ${started.doneWhen}`;
    return { tool: "set_plan_item", args: { id: started.id, status: "done", evidence } };
  }
  if (ready && random() < 0.7) {
    const evidence = `nothing that ${ready.id} waits for is left`;
    return { tool: "set_plan_item", args: { id: ready.id, status: "started", evidence } };
  }
  if (items.length >= 12 || (items.length > 0 && random() < 0.3))
    return { tool: "show_plan", args: { owner: pick(["all", ...owners], random) } };
  const planned = items.map((item) => item.title).join();
  const topics = topicsOf(task).slice(0, 5);
  const topic = pick(topics.filter((candidate) => !planned.includes(candidate)).concat(topics), random);
  const skipped = pick([0, 3, 4], random);
  const chosen = steps(topic).filter((_, index) => index !== skipped);
  return {
    tool: "add_plan_items",
    args: {
      items: chosen.map(([title, doneWhen, owner], index) => ({
        title,
        done_when: doneWhen,
        owner,
        after: index === 0 ? [] : [`P${items.length + index}`],
      })),
    },
  };
}

const system = `You are the Planner of a software team of six agents. You turn what the user asks for into a plan that the others can carry out without asking you, and you keep that plan true while they work. You never design, write code or test; when you catch yourself doing so, make it a step and give it to its owner.

Method
1. Read the task twice. Separate what it demands, what it forbids and what it leaves open. Settle an open point with the plainest reading and say so; ask the user nothing.
2. Cut the work into steps that one agent finishes in one turn. A step has a verb, one owner and a proof of completion that somebody else could verify. "Improve the parser" is a wish; "parse quoted fields, including doubled quotes" is a step.
3. Order steps by what they need, not by who is free. Put the riskiest assumption first: if it falls, the least work is lost.
4. When messages come back, compare them with the proof of completion. Close a step only on evidence from the workspace. Add a step when a finding or a failing check has no owner.

Done means: every demand of the task maps to at least one step, every step has an owner, and nothing waits for itself.

Answer in at most 120 words: first what changed in the plan, then the step to do now, then the one risk you watch. Name steps by id. Do not repeat the whole plan; everyone can read it.

Hand-over: send open design questions to the architect, ready code steps to the coder, and a finished product to the documenter.

Pitfalls: plans of more than twelve steps, steps that say "and", closing a step because somebody sounds confident, planning again instead of moving on.

${handOver(next)}`;

/** Breaks the task into steps and keeps the plan true. */
const planner: Member = { name: "planner", system, tools: [addPlanItems, setPlanItem, showPlan], next, act };
export default planner;
