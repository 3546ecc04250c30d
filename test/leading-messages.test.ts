import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { expect, test } from "vitest";
import definition from "../src/engines/embedded.ts";
import { CacheSage, type EngineAdapter } from "../src/index.ts";
import { modelFolder, words } from "./embedded/nano.ts";

/** Examples of some 350 tokens that stand at the start of an agent's every prompt. */
const examples = (seed: number) =>
  Array.from({ length: 6 }, (_, index) => ({
    role: index % 2 === 0 ? ("user" as const) : ("assistant" as const),
    content: words(50, seed + index),
  }));
const AGENTS = { sorter: examples(100), writer: examples(200), reader: [] };

/** Room for all examples, and for little more than a prompt beside them. */
const options = definition.options.parse({
  model: "nano",
  cacheDirectory: modelFolder,
  threads: 1,
  kvTokens: 1792,
});

/**
 * Plays three runs at a time, each on a task of its own, whose calls are made in turn: what is found does not depend on how fast the
 * machine is. Returns cached prompt tokens of both agents with examples.
 */
async function play(engine: EngineAdapter): Promise<number> {
  let cached = 0;
  let latest: Promise<unknown> = Promise.resolve();
  await using sage = await CacheSage.connect({
    engine,
    cacheHints: true,
    policies: { "prefix-cache": { prefetch: false } },
    onEvent: (event) => {
      if (event.type === "request-end" && event.agent !== "reader") cached += event.usage?.cachedTokens ?? 0;
    },
  });
  const model = new ChatOpenAI({ model: "nano", temperature: 0, maxTokens: 2, ...sage.model() });
  const node = (agent: keyof typeof AGENTS) => async (state: typeof MessagesAnnotation.State) => {
    const system = { role: "system" as const, content: `You are the ${agent}.` };
    const answer = latest.then(() => model.invoke([system, ...AGENTS[agent], ...state.messages]));
    latest = answer;
    return { messages: [await answer] };
  };
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("sorter", node("sorter"))
      .addNode("writer", node("writer"))
      .addNode("reader", node("reader"))
      .addEdge(START, "sorter")
      .addEdge("sorter", "writer")
      .addEdge("writer", "reader")
      .compile(),
  );
  const tasks = async (first: number) => {
    for (let task = first; task < first + 5; task++)
      await graph.invoke({ messages: [{ role: "user", content: words(300, task) }] });
  };
  await Promise.all([tasks(0), tasks(10), tasks(20)]);
  return cached;
}

test("examples with which an agent's prompts begin are kept as a part of its anchor", async () => {
  const adapter = definition.create(options);
  const told = await play(adapter);
  const untold = definition.create(options);
  const decorate = untold.decorate?.bind(untold);
  untold.decorate = (call, decisions) => decorate?.({ ...call, lead: 0 }, decisions) ?? {};
  // Without it an agent's examples are gone when its next run comes: found again twice at the least.
  expect(told).toBeGreaterThan((await play(untold)) + 2 * 350);
});
