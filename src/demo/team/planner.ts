import { z } from "zod";
import { defineTool, handOver, type Member, type ToolCall } from "../member.ts";
import { pick, topicsOf, type Turn } from "../turn.ts";
import { count, type PlanItem, type Workspace } from "../workspace.ts";

const next = ["architect", "coder", "documenter"];
const owners = ["architect", "coder", "tester", "reviewer", "documenter"] as const;

const addPlanItems = defineTool({
  name: "add_plan_items",
  description: "Adds steps; each waits for the one before it.",
  schema: z.strictObject({
    items: z
      .array(
        z.strictObject({
          title: z.string().describe("Starts with a verb"),
          done_when: z.string().describe("Fact that proves it"),
          owner: z.enum(owners).describe("Who does it"),
        }),
      )
      .max(6)
      .describe("New steps"),
  }),
  run: ({ items }, workspace) => {
    const added: PlanItem[] = [];
    for (const { title, done_when, owner } of items) {
      const after = added.slice(-1).map(({ id }) => id);
      added.push(workspace.addItem({ title, doneWhen: done_when, owner, after }));
    }
    const told = added.map(({ id, owner, title }) => `${id} (${owner}) ${title}`);
    return workspace.report(
      `Added in this order: ${told.join("; ") || "nothing"}.`,
      added[0] ? `${added[0].id} is done when ${added[0].doneWhen}.` : "",
    );
  },
});

const setPlanItem = defineTool({
  name: "set_plan_item",
  description: "Changes the status of a step.",
  schema: z.strictObject({
    id: z.string().describe("Such as P3"),
    status: z.enum(["open", "started", "done"]).describe("New status"),
    evidence: z.string().describe("What proves it"),
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
      `${id} (${item.title}) is now ${status}, not ${item.status}: ${evidence}.`,
      freed.length > 0 ? `This frees ${freed.join(" and ")}.` : "",
    );
  },
});

const showPlan = defineTool({
  name: "show_plan",
  description: "Lists the newest steps with their status.",
  schema: z.strictObject({ owner: z.string().describe("Agent, or * for all") }),
  run: ({ owner }, workspace) => {
    const items = workspace.items.filter((item) => owner === "*" || item.owner === owner);
    const listed = items
      .toReversed()
      .slice(0, 4)
      .map((item) => `${item.id} [${item.status}] ${item.title}`);
    return workspace.report(
      `${owner === "*" ? "The team" : `The ${owner}`} has ${count(items.length, "step")}, newest first: ${listed.join("; ") || "none"}.`,
    );
  },
});

/** Steps that a task about `topic` needs, in the order in which they can be done. */
function steps(topic: string): readonly (readonly [title: string, doneWhen: string, owner: string])[] {
  return [
    [`Name the ${topic} parts`, `every part has a path, a purpose and its exports`, "architect"],
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
    [`Explain the ${topic} modules`, `the guide mentions every export about the ${topic}`, "documenter"],
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
    return { tool: "show_plan", args: { owner: pick(["*", ...owners], random) } };
  const planned = items.map((item) => item.title).join();
  const topics = topicsOf(task).slice(0, 5);
  const topic = pick(topics.filter((candidate) => !planned.includes(candidate)).concat(topics), random);
  const skipped = pick([0, 3, 4], random);
  const chosen = steps(topic).filter((_, index) => index !== skipped);
  return {
    tool: "add_plan_items",
    args: {
      items: chosen.map(([title, doneWhen, owner]) => ({
        title,
        done_when: doneWhen,
        owner,
      })),
    },
  };
}

const system = `You are the Planner of a software team of six agents. You turn what the user asks for into a plan that the others can carry out without asking you. You never design, write code or test.

Method
1. Settle what the task leaves open with the plainest reading and say so.
2. Cut the work into steps that one agent finishes in one turn, each with an owner and a proof that somebody else could verify.
3. Order steps by what they need. The riskiest assumption comes first.
4. Close a step only on evidence from the workspace.

Answer in at most 80 words: what changed, the step to do now, the risk you watch.

Open design questions go to the architect, ready code steps to the coder, a finished product to the documenter.

${handOver(next)}`;

/** Breaks the task into steps and keeps the plan true. */
const planner: Member = { name: "planner", system, tools: [addPlanItems, setPlanItem, showPlan], next, act };
export default planner;
