// One spread on the model: identity and hints for every call it makes, whatever the graph looks like.
import { ChatOpenAI } from "@langchain/openai";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "cachesage";

const sage = await CacheSage.connect({ cacheHints: true }); // no url: the embedded engine, in this process
const model = new ChatOpenAI({ model: "nano", maxTokens: 16, ...sage.model() });

const graph = new StateGraph(MessagesAnnotation)
  .addNode("planner", async ({ messages }) => ({
    messages: [await model.invoke([{ role: "system", content: "You plan." }, ...messages])],
  }))
  .addEdge("__start__", "planner")
  .compile();

await graph.invoke({ messages: [{ role: "user", content: "Add a dark mode." }] });
await sage.idle();
console.log(sage.engine.engine, sage.stats.hints);
await sage.close();
