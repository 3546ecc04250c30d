// wrapNode(): the explicit alternative, node by node, with an agent name of your own.
import { ChatOpenAI } from "@langchain/openai";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "cachesage";

const agents: string[] = [];
const sage = await CacheSage.connect({
  cacheHints: true,
  onEvent: (event) => {
    if (event.type === "request-start") agents.push(event.agent);
  },
});
const model = new ChatOpenAI({ model: "nano", maxTokens: 16, ...sage.model() });

const graph = new StateGraph(MessagesAnnotation)
  .addNode(
    "n1",
    sage.wrapNode(async ({ messages }) => ({ messages: [await model.invoke(messages)] }), {
      agent: "planner",
    }),
  )
  .addEdge("__start__", "n1")
  .compile();

await graph.invoke(
  { messages: [{ role: "user", content: "Plan a release." }] },
  { callbacks: [sage.handler] },
);
console.log(agents); // [ 'planner' ]
await sage.close();
