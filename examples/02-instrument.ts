// instrument(): transitions, exact next nodes and the declared graph; the same graph object, the same type.
import { ChatOpenAI } from "@langchain/openai";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "cachesage";

const sage = await CacheSage.connect({ cacheHints: true });
const model = new ChatOpenAI({ model: "nano", maxTokens: 16, ...sage.model() });

const agent = (system: string) => async (state: typeof MessagesAnnotation.State) => ({
  messages: [await model.invoke([{ role: "system", content: system }, ...state.messages])],
});
const graph = sage.instrument(
  new StateGraph(MessagesAnnotation)
    .addNode("coder", agent("You write the code."))
    .addNode("tester", agent("You test the code."))
    .addEdge(START, "coder")
    .addEdge("coder", "tester")
    .addConditionalEdges("tester", ({ messages }) => (messages.length < 6 ? "coder" : END), ["coder", END])
    .compile(),
);

for (const task of ["Parse a CSV file.", "Retry a request."])
  await graph.invoke({ messages: [{ role: "user", content: task }] });
await sage.idle();
console.log("next agent predicted:", sage.stats.nextAgent);
console.log("hints:", sage.stats.hints);
await sage.close();
