import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { CacheSage, type EngineAdapter } from "../src/index.ts";
import type { Telemetry } from "../src/runtime/telemetry.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { ScriptedServer } from "./langgraph/scripted-server.ts";

const SECRET = "marmalade";
const secret = (what: string) => `${SECRET} ${what} `.repeat(8);

const look = tool(() => secret("result"), {
  name: "look",
  description: secret("tool"),
  schema: z.object({ where: z.string().describe(secret("parameter")) }),
});

function silentEngine(baseURL: string): EngineAdapter {
  return {
    specificationVersion: "v1",
    name: "silent",
    baseURL,
    apiKey: "local",
    supports: { retain: "native", release: "native" },
    connect: async () => ({ engine: "silent", models: [] }),
    apply: async (hints) => hints.map(() => ({ status: "applied" })),
    close: async () => {},
  };
}

test.each([false, true])(
  "no text of a prompt, a tool or an answer is in what is told, decided, learned or stored (cacheHints %s)",
  async (cacheHints) => {
    await using server = await ScriptedServer.start((_request, index) =>
      index === 0
        ? { tool: { name: "look", arguments: { where: secret("argument") } } }
        : { text: secret("answer") },
    );
    const told: unknown[] = [];
    const tell = (...what: readonly unknown[]) => void told.push(what);
    const telemetry: Telemetry = {
      name: "ear",
      attach: () => ({ event: tell, decision: tell, outcome: tell, fault: tell }),
    };
    const store = new MemoryStore();
    const sage = await CacheSage.connect({
      engine: silentEngine(server.url),
      cacheHints,
      store,
      telemetry: [telemetry],
      onEvent: tell,
      onFault: tell,
      warn: tell,
    });
    const model = new ChatOpenAI({ model: "scripted", ...sage.model() });
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("clerk", createReactAgent({ llm: model, tools: [look], prompt: secret("system") }))
        .addNode("writer", async ({ messages }) => ({
          messages: [await model.invoke(messages, { callbacks: [] })],
        }))
        .addEdge(START, "clerk")
        .addEdge("clerk", "writer")
        .compile(),
    );
    await graph.invoke({ messages: [{ role: "user", content: secret("question") }] });
    await sage.idle();
    await sage.close();
    const stored = [...((await store.load())?.counts ?? [])];
    const kept = [told, [...sage.ledger], sage.snapshot(), sage.stats, stored];
    expect(server.requests.filter(({ raw }) => raw.includes(SECRET))).toHaveLength(3);
    expect(told.length).toBeGreaterThan(10);
    expect(JSON.stringify(sage.snapshot())).toContain("writer");
    expect(stored.length).toBeGreaterThan(0);
    expect(JSON.stringify(kept)).not.toContain(SECRET);
  },
);
