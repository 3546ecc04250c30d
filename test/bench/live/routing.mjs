import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { mean } from "simple-statistics";
import { z } from "zod";
import { drawFrom, pause, streamed, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";
import { withServers } from "../live-servers.mjs";

/** Sends each call to a server by this rule, whatever is cached where. */
const blind = (name, choose) => ({
  name,
  description: "",
  subject: "request",
  actions: ["route"],
  options: z.strictObject({}),
  create: () => {
    const chosen = new Map();
    return {
      act: (ranked, _predictions, { workers }) =>
        ranked.map(({ item: call }) => {
          if (!chosen.has(call.id)) chosen.set(call.id, workers[choose(workers.length)].baseURL);
          return { type: "route", call, baseURL: chosen.get(call.id) };
        }),
    };
  },
});

/** What `routing` is measured against: nothing (sessions stick by hashing), taking turns, and chance. */
const routingArms = {
  hashing: () => ({}),
  "round robin": () => {
    let next = 0;
    return { "round-robin": blind("round-robin", (count) => next++ % count) };
  },
  random: (seed) => ({ random: blind("random", drawFrom(seed + 100)) }),
  routing: () => ({ routing: true }),
};

/** Chats of three agents each, six at a time; an engine has room for most of them. */
async function routed(policies, seed) {
  const draw = drawFrom(seed);
  const { calls, loads } = await withServers(policies, { kvTokens: 12_288 }, async ({ sage, model }) => {
    const builder = new StateGraph(MessagesAnnotation);
    const agents = ["planner", "coder", "tester"];
    for (const agent of agents)
      builder.addNode(agent, async ({ messages }) => ({
        messages: [await streamed(model, [{ role: "system", content: words(120, agent[0]) }, ...messages])],
      }));
    builder.addEdge(START, "planner").addEdge("planner", "coder").addEdge("coder", "tester");
    const graph = sage.instrument(builder.compile());
    const chat = async (thread) => {
      let messages = [];
      for (let turn = 0; turn < 3; turn++) {
        await pause(draw(150));
        messages.push({ role: "user", content: words(20 + draw(30), `${thread}-${turn}-`) });
        const state = await graph.invoke({ messages }, { configurable: { thread_id: `${thread}` } });
        messages = state.messages;
      }
    };
    let next = 0;
    const worker = async () => {
      while (next < 14) await chat(next++);
    };
    await Promise.all(Array.from({ length: 6 }, worker));
  });
  const prompt = calls.reduce((sum, { usage }) => sum + usage.promptTokens, 0);
  const cached = calls.reduce((sum, { usage }) => sum + (usage.cachedTokens ?? 0), 0);
  return {
    hitRate: cached / prompt,
    ttft: mean(calls.map(({ at, first }) => first - at)),
    peak: Math.max(...loads) / mean(loads),
  };
}

export default () =>
  compareArms("routing", routingArms, routed, {
    hitRate: "hit rate on two engines",
    ttft: "mean TTFT, ms",
    peak: "prompt tokens of the busier engine, over the mean",
  });
