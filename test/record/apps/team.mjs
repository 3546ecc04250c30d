// One process with an ESM and a CommonJS copy of LangGraph: a team with a subgraph and parallel workers, which is
// interrupted, resumed, and fails in the end.
import { createRequire } from "node:module";
import { getContextVariable, setContextVariable } from "@langchain/core/context";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import {
  Command,
  interrupt,
  MemorySaver,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
} from "@langchain/langgraph";

const common = createRequire(import.meta.url)("@langchain/langgraph");
const rules = (name) => `Secret rules of the ${name}, which nobody outside may read. `.repeat(8);
const calls =
  (name, sleep = 0) =>
  async ({ messages }) => {
    const model = new FakeListChatModel({ responses: [`Secret answer of the ${name}`], sleep });
    return { messages: [await model.invoke([{ role: "system", content: rules(name) }, ...messages])] };
  };
const build = ({ StateGraph: Graph }) => new Graph(MessagesAnnotation);

setContextVariable("own", "kept");
const press = build({ StateGraph })
  .addNode("writer", calls("writer"))
  .addNode("editor", calls("editor"))
  .addEdge(START, "writer")
  .addEdge("writer", "editor")
  .compile();
const team = build({ StateGraph })
  .addNode("planner", calls("planner"))
  .addNode("worker", ({ messages, sleep }) => calls("worker", sleep)({ messages }))
  .addNode("approval", () => {
    interrupt("May I?");
    return {};
  })
  .addNode("publish", press)
  .addEdge(START, "planner")
  .addConditionalEdges("planner", ({ messages }) => [
    new Send("worker", { messages, sleep: 60 }),
    new Send("worker", { messages, sleep: 10 }),
  ])
  .addEdge("worker", "approval")
  .addEdge("approval", "publish")
  .compile({ checkpointer: new MemorySaver() });
const thread = { configurable: { thread_id: "alice@example.com" } };
await team.invoke({ messages: [{ role: "user", content: "Secret wish of the user. ".repeat(10) }] }, thread);
await team.invoke(new Command({ resume: "yes" }), thread);

const failing = build(common)
  .addNode("critic", async (state) => {
    await calls("critic")(state);
    throw new Error("out of patience");
  })
  .addEdge(common.START, "critic")
  .compile();
const error = await failing.invoke({ messages: [] }).catch(({ message }) => message);
console.log(JSON.stringify({ words: process.argv.slice(2), error, own: getContextVariable("own") }));
process.exitCode = 7;
