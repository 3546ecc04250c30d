import { SystemMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import { z } from "zod";
import { startBench } from "./bench.ts";

const look = tool(() => "seen", {
  name: "look",
  description: "Looks.",
  schema: z.object({ at: z.string() }),
});
const system = new SystemMessage("You are the first to look.");

test("an introduction tells the anchor of the agent's first call, sends nothing and is not observed", async () => {
  const introduced: string[] = [];
  await using bench = await startBench(undefined, {
    introduction: (agent, body) => void introduced.push(`${agent} ${body}`),
  });
  const { sage, events, server } = bench;
  const model = bench.model().bindTools([look]);
  await sage.introduce("looker", () => model.invoke([system]));
  expect(server.requests).toEqual([]);
  expect(sage.handler.pending).toBe(0);
  expect(events.map(({ type }) => type)).toEqual(["anchor"]);
  expect(introduced).toEqual([expect.stringMatching(/^looker \{.*"look".*first to look/s)]);

  const graph = new StateGraph(MessagesAnnotation)
    .addNode("looker", async ({ messages }, config) => ({
      messages: [await model.invoke([system, ...messages], config)],
    }))
    .addEdge("__start__", "looker")
    .compile();
  await sage.instrument(graph).invoke({ messages: [{ role: "user", content: "Look." }] });
  const [known] = events.filter((event) => event.type === "anchor");
  const [called] = events.filter((event) => event.type === "request-start");
  expect(called?.prompt.anchor).toEqual(known?.anchor);
  expect(server.requests).toHaveLength(1);
  expect(bench.faults).toEqual([]);
});

test("streams and chains around a model can be introduced as well", async () => {
  await using bench = await startBench();
  const prompt = ChatPromptTemplate.fromMessages([system]);
  await bench.sage.introduce("streamer", async () => {
    for await (const _ of await prompt.pipe(bench.model()).stream({})) expect.unreachable();
  });
  expect(bench.events).toEqual([expect.objectContaining({ type: "anchor", agent: "streamer" })]);
  expect(bench.server.requests).toEqual([]);
});

test("without a model call to the engine it says what it wants, and what went wrong", async () => {
  await using bench = await startBench();
  const { sage } = bench;
  await expect(sage.introduce("silent", () => 1)).rejects.toThrow(/\[introduce\].*got none.*as silent does/s);
  await expect(sage.introduce("broken", () => Promise.reject(new Error("no such model")))).rejects.toThrow(
    /no such model/,
  );
  expect(bench.events).toEqual([]);
});
