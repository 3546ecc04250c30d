// middleware(): for langchain's createAgent, which rebuilds its graph when it is configured again.
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { CacheSage } from "cachesage";

const sage = await CacheSage.connect({ cacheHints: true });
const model = new ChatOpenAI({ model: "nano", maxTokens: 16, ...sage.model() });

const weather = tool(({ city }) => `Sunny in ${city}.`, {
  name: "weather",
  description: "Today's weather in a city.",
  schema: z.object({ city: z.string() }),
});
const agent = createAgent({ name: "forecaster", model, tools: [weather], middleware: [sage.middleware()] });

await agent.invoke({ messages: [{ role: "user", content: "Will it rain in Oslo?" }] });
await sage.idle();
for (const { policy, action } of sage.ledger)
  if ("prefix" in action) console.log(`${policy}: ${action.type} ${action.prefix.agent}`);
await sage.close();
