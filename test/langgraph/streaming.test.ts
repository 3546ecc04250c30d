import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { tool } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { lines, only, seenBy, session, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";

const input = { messages: [{ role: "user" as const, content: "x" }] };

function twoAgents(bench: Bench, useResponsesApi = false) {
  const model = bench.model({ useResponsesApi });
  const call = async () => ({ messages: [await model.invoke("hi")] });
  return bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("first", call)
      .addNode("second", call)
      .addEdge(START, "first")
      .addEdge("first", "second")
      .compile(),
  );
}

/** What two agents tell, with these lines between the start and the end of each request. */
function told(token: readonly string[] = []): readonly string[] {
  const around = (agent: string, next: string) => [
    `+${agent}`,
    `${agent}: request`,
    ...token.map((line) => `${agent}: ${line}`),
    `${agent}: completed`,
    `${agent} => ${next} (edge)`,
    `-${agent} completed`,
  ];
  return ["run-start", ...around("first", "second"), ...around("second", "__end__"), "run-end completed"];
}

function checked(bench: Bench): readonly string[] {
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  const run = only(bench.events, "run-start")[0]?.run;
  expect(seenBy(bench.server)).toEqual([
    { agent: "first", run, session: "thread", namespace: "first", step: 1 },
    { agent: "second", run, session: "thread", namespace: "second", step: 2 },
  ]);
  return lines(bench.events);
}

describe.each([false, true])("with useResponsesApi %s", (useResponsesApi) => {
  test.each(["values", "updates", "debug", "custom", "tasks", "checkpoints", "tools"] as const)(
    "stream mode %s",
    async (streamMode) => {
      await using bench = await startBench();
      await drain(await twoAgents(bench, useResponsesApi).stream(input, { ...session, streamMode }));
      expect(checked(bench)).toEqual(told());
    },
  );

  test("stream mode messages, which makes every call a stream", async () => {
    await using bench = await startBench();
    const streamMode = ["messages" as const, "updates" as const];
    await drain(await twoAgents(bench, useResponsesApi).stream(input, { ...session, streamMode }));
    expect(checked(bench)).toEqual(told(["token"]));
  });

  test("streamEvents v2", async () => {
    await using bench = await startBench();
    await drain(twoAgents(bench, useResponsesApi).streamEvents(input, { ...session, version: "v2" }));
    expect(checked(bench)).toEqual(told(["token"]));
  });

  test("streamEvents v3", async () => {
    await using bench = await startBench();
    await drain(await twoAgents(bench, useResponsesApi).streamEvents(input, { ...session, version: "v3" }));
    expect(checked(bench)).toEqual(told(["token"]));
  });
});

test("a streamed tool call counts as the first token", async () => {
  await using bench = await startBench((_request, index) =>
    index === 0 ? { tool: { name: "noop", arguments: {} } } : { text: "done" },
  );
  const noop = tool(() => "x", { name: "noop", description: "Does nothing.", schema: z.object({}) });
  const agent = bench.sage.instrument(createReactAgent({ llm: bench.model(), tools: [noop], name: "clerk" }));
  await drain(await agent.stream(input, { ...session, streamMode: "messages" }));
  const log = lines(bench.events);
  expect(log.indexOf("clerk: token")).toBeLessThan(log.indexOf("clerk: tool noop"));
  expect(log.filter((line) => line === "clerk: token")).toHaveLength(2);
});

test("all subgraphs stream through", async () => {
  await using bench = await startBench();
  const inner = twoAgents(bench);
  bench.events.length = 0;
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation).addNode("team", inner).addEdge(START, "team").compile(),
  );
  await drain(
    await graph.stream(input, {
      ...session,
      streamMode: "updates",
      subgraphs: true,
    }),
  );
  expect(seenBy(bench.server)).toMatchObject([
    { agent: "team/first", namespace: "team|first", step: 1 },
    { agent: "team/second", namespace: "team|second", step: 2 },
  ]);
  expect(bench.sage.handler.pending).toBe(0);
});
