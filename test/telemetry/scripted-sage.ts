import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { CacheSage, type CacheEvent, type EngineAdapter, type Telemetry } from "../../src/index.ts";
import { ScriptedServer } from "../langgraph/scripted-server.ts";

/** Plays a team of two agents in turn, some runs one after the other, with hints on; prefetches compute 10 tokens each. */
export async function playWith(
  telemetry: readonly Telemetry[],
  runs = 3,
  change: Partial<EngineAdapter> = {},
) {
  await using server = await ScriptedServer.start(() => ({ text: "a haiku", cached: 6 }));
  const engine: EngineAdapter = {
    specificationVersion: "v1",
    name: "scripted",
    baseURL: server.url,
    apiKey: "local",
    supports: { retain: "native", release: "native", prefetch: "native" },
    connect: async () => ({ engine: "scripted", models: ["scripted"] }),
    apply: async (hints) =>
      hints.map(({ type }) => ({ status: "applied", tokens: type === "prefetch" ? 10 : 0 })),
    close: async () => {},
    ...change,
  };
  await using sage = await CacheSage.connect({ engine, cacheHints: true, telemetry: [...telemetry] });
  const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
  const node = async ({ messages }: typeof MessagesAnnotation.State) => ({
    messages: [await model.invoke([{ role: "system", content: "be brief" }, ...messages])],
  });
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("planner", node)
      .addNode("writer", node)
      .addEdge(START, "planner")
      .addEdge("planner", "writer")
      .compile(),
  );
  for (let run = 0; run < runs; run++) {
    await graph.invoke({ messages: [{ role: "user", content: `write haiku ${run}` }] });
    await sage.idle();
  }
  return sage.stats;
}

/** Events of an engine that lost some. */
export async function* gap(): AsyncGenerator<CacheEvent> {
  yield { type: "gap", at: 1, source: "scripted", reason: "lost", missed: 3 };
}
