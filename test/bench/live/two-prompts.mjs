import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import {
  drawFrom,
  embedded,
  hitsAndTtft,
  LRU_AND_HINTS,
  pause,
  streamed,
  withApp,
  words,
} from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

/** A team whose nodes each call the model about two things, with a system message and a history of its own for each. */
const TEAM = { planner: ["plan", "criticise"], coder: ["write", "review"], tester: ["test", "sort"] };

function teamOf(model, draw) {
  const said = (role, about, count) => ({ role, content: words(count, `${about}${draw(1_000_000)}-`) });
  const ask = async (histories, about) => {
    const history = (histories[about] ??= []);
    history.push(said("user", about, 16));
    await streamed(model, [{ role: "system", content: words(40, about) }, ...history]);
    history.push(said("assistant", about, 10));
    await pause(draw(800));
  };
  const next = ({ messages }) => {
    if (messages.length > 9) return "__end__";
    return draw(5) < 3 ? "planner" : draw(3) < 2 ? "coder" : "tester";
  };
  const builder = new StateGraph(MessagesAnnotation);
  for (const [agent, things] of Object.entries(TEAM))
    builder.addNode(agent, async (_state, { configurable: { histories } }) => {
      for (const about of things) await ask(histories, about);
      return { messages: [{ role: "assistant", content: "done" }] };
    });
  builder.addEdge(START, "planner").addEdge("planner", "coder");
  for (const agent of ["coder", "tester"]) builder.addConditionalEdges(agent, next);
  return builder.compile();
}

/** Sixteen runs of some 18 calls with prompts of 600 tokens on average, eight of them open at a time. */
async function played({ cacheHints, order }, seed) {
  const connect = embedded({ kvTokens: 6144, order });
  const play = async ({ sage, model }) => {
    const graph = sage.instrument(teamOf(model, drawFrom(seed)));
    const input = { messages: [{ role: "user", content: "begin" }] };
    let begun = 0;
    const worker = async () => {
      while (begun++ < 16) await graph.invoke(input, { configurable: { histories: {} } });
    };
    await Promise.all(Array.from({ length: 8 }, worker));
  };
  const { calls } = await withApp(connect, { "prefix-cache": cacheHints }, play, { cacheHints });
  return hitsAndTtft(calls);
}

export default () =>
  compareArms("prefix-cache", LRU_AND_HINTS, played, {
    hitRate: "hit rate of nodes that call the model about two things",
    ttft: "mean TTFT, ms",
  });
