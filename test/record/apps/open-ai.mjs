// createReactAgent on a server; with an entry to cachesage's own build, that is attached as well.
import { tool } from "@langchain/core/tools";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const [baseURL, entry] = process.argv.slice(2);
const seen = [];
const fields = { model: "scripted", apiKey: "local", maxRetries: 0, configuration: { baseURL } };
const look = tool(() => "looked", { name: "look", description: "Looks around.", schema: z.object({}) });
const ask = (graph, config) =>
  graph.invoke({ messages: [{ role: "user", content: "Look around." }] }, config);
const make = (model) =>
  createReactAgent({ llm: model, tools: [look], name: "scout", prompt: "You are a scout. ".repeat(20) });
if (entry) {
  const { CacheSage } = await import(entry);
  const engine = {
    specificationVersion: "v1",
    name: "none",
    baseURL,
    supports: {},
    connect: async () => ({ engine: "none", supports: {} }),
    apply: async (hints) => hints.map(({ id }) => ({ id, status: "ignored" })),
    close: async () => {},
  };
  const sage = await CacheSage.connect({ engine, onEvent: ({ type }) => seen.push(type) });
  const graph = sage.instrument(make(new ChatOpenAI({ ...fields, ...sage.model(fields) })));
  await ask(graph, { callbacks: [sage.handler] });
  await sage.close();
} else {
  await ask(make(new ChatOpenAI(fields)));
}
console.log(JSON.stringify(seen.filter((type) => type === "request-end")));
