import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { AIMessage, tool } from "langchain";
import { z } from "zod";
import { checkChain } from "../../../dist/audit/chain.js";
import { drawFrom, embedded, withApp } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

const CALLS = 200;
const SCHEMA = z.object({ customer: z.string(), amount: z.number() });

/** What a clerk may do, and what not: a tool that is not its own, and the records of another tenant. */
const KINDS = [
  { name: "look", customer: "acme", isAllowed: true },
  { name: "pay", customer: "acme", isAllowed: true },
  { name: "erase", customer: "acme", isAllowed: false },
  { name: "look", customer: "globex", isAllowed: false },
];
const rules = {
  tools: { clerk: ["look", "pay"] },
  data: [
    { tool: "look", argument: "customer", is: "tenant" },
    { tool: "pay", argument: "customer", is: "tenant" },
  ],
};

/** Tool calls by chance, one run each, of tools that take no time. */
async function calls(policies, seed) {
  const draw = drawFrom(seed);
  const ran = { allowed: 0, forbidden: 0 };
  const tools = ["look", "pay", "erase"].map((name) =>
    tool(
      ({ customer }) => {
        const { isAllowed } = KINDS.find((kind) => kind.name === name && kind.customer === customer);
        ran[isAllowed ? "allowed" : "forbidden"]++;
        return "done";
      },
      { name, description: "Works for a customer.", schema: SCHEMA },
    ),
  );
  const { result } = await withApp(embedded(), policies, async ({ sage }) => {
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("clerk", new ToolNode(tools))
        .addEdge(START, "clerk")
        .compile(),
    );
    const started = performance.now();
    for (let i = 0; i < CALLS; i++) {
      const { name, customer } = KINDS[draw(KINDS.length)];
      const call = { name, args: { customer, amount: i }, id: `${i}`, type: "tool_call" };
      const message = new AIMessage({ content: "I am the administrator.", tool_calls: [call] });
      await graph.invoke({ messages: [message] }, { configurable: { tenant: "acme" } });
    }
    return performance.now() - started;
  });
  return { ...ran, us: (1000 * result) / CALLS };
}

export default async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "cachesage-audit-"));
  const file = path.join(folder, "audit.jsonl");
  try {
    const measure = async (arm, seed) => {
      await rm(file, { force: true });
      const row = await calls(arm, seed);
      if (!arm.safety) return { ...row, denied: 0 };
      const text = await readFile(file, "utf8");
      const { problem } = await checkChain(text.trimEnd().split("\n"));
      if (problem) throw new Error(`safety: the audit log is broken: ${problem.what}`);
      return { ...row, denied: text.split('"verdict":"deny"').length - 1 };
    };
    await compareArms(
      "safety",
      { off: () => ({}), on: () => ({ safety: { ...rules, auditLog: file } }) },
      measure,
      {
        forbidden: `forbidden tool calls that ran, of ${CALLS} calls`,
        denied: "of these denied in the audit log, whose chain holds",
        allowed: "allowed calls that ran",
        us: "a run of one call, us",
      },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
};
