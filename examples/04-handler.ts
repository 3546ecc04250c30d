// The classic way: the callback handler alone observes, without a change to model or graph.
import { ChatOpenAI } from "@langchain/openai";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "cachesage";

const seen: string[] = [];
const sage = await CacheSage.connect({ onEvent: (event) => seen.push(event.type) });
const model = new ChatOpenAI({
  model: "nano",
  maxTokens: 16,
  apiKey: "none",
  configuration: { baseURL: sage.adapter.baseURL },
});

const graph = new StateGraph(MessagesAnnotation)
  .addNode("writer", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
  .addEdge("__start__", "writer")
  .compile();

await graph.invoke(
  { messages: [{ role: "user", content: "Write a haiku." }] },
  { callbacks: [sage.handler] },
);
console.log(seen.join(" "));
await sage.close();
