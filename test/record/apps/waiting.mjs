// One call that is answered and one that never is; then leaves by itself, or waits to be killed.
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";

const call = (sleep) => async (state) => {
  const model = new FakeListChatModel({ responses: ["done"], sleep });
  return {
    messages: [await model.invoke([{ role: "system", content: "Wait. ".repeat(40) }, ...state.messages])],
  };
};
const graph = new StateGraph(MessagesAnnotation)
  .addNode("quick", call(0))
  .addNode("slow", (state) => {
    setTimeout(() => (process.argv[2] === "leave" ? process.exit(4) : console.log("waiting")), 50);
    return call(60_000)(state);
  })
  .addEdge(START, "quick")
  .addEdge("quick", "slow")
  .compile();
await graph.invoke({ messages: [{ role: "user", content: "Go." }] });
