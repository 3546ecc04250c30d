import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { AIMessage, tool } from "langchain";
import { z } from "zod";
import { embedded, pause, withApp } from "../live-app.mjs";
import { compareArms, expectEqual } from "../live-arms.mjs";

/** Twenty runs that look up one of four things each, with a tool that takes 50 ms. */
async function lookups(policies) {
  let calls = 0;
  const look = tool(
    async ({ key }) => {
      calls++;
      await pause(50);
      return `value of ${key}`;
    },
    { name: "look", description: "Looks up.", schema: z.object({ key: z.string() }) },
  );
  const { result } = await withApp(embedded(), policies, async ({ sage }) => {
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("tools", new ToolNode([look]))
        .addEdge(START, "tools")
        .compile(),
    );
    const started = performance.now();
    const answers = [];
    for (let i = 0; i < 20; i++) {
      const call = { name: "look", args: { key: `${i % 4}` }, id: `${i}`, type: "tool_call" };
      const { messages } = await graph.invoke({
        messages: [new AIMessage({ content: "", tool_calls: [call] })],
      });
      answers.push(messages.at(-1).content);
    }
    return { ms: performance.now() - started, answers: answers.join() };
  });
  return { calls, ...result };
}

export default async () => {
  const answers = [];
  const measure = async (policies) => {
    const row = await lookups(policies);
    answers.push(row.answers);
    return row;
  };
  const arms = { off: () => ({}), on: () => ({ "tool-memo": { tools: { look: { scope: "global" } } } }) };
  await compareArms("tool-memo", arms, measure, {
    calls: "tool calls of 20 lookups of 4 things",
    ms: "the same, ms",
  });
  expectEqual("tool-memo", answers);
};
