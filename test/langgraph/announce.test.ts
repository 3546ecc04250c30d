import { Command, END, MessagesAnnotation, Send, START, StateGraph } from "@langchain/langgraph";
import { createAgent, tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { lines, only, session, startBench, type Bench } from "./bench.ts";

const State = MessagesAnnotation;
const input = { messages: [{ role: "user" as const, content: "x" }] };

/** A node that calls the model, says who is next and goes on for a while. */
function announcing(bench: Bench, next: string | readonly string[]) {
  const model = bench.model();
  return async () => {
    const messages = [await model.invoke("hi")];
    bench.sage.announce(next);
    await new Promise((resolve) => setImmediate(resolve));
    return { messages };
  };
}

const announced = (bench: Bench) =>
  only(bench.events, "next-agents")
    .filter(({ source }) => source === "app")
    .map(({ from, agents }) => `${from} => ${agents.join(",")}`);

test("what the app says is told while the node still runs, and what LangGraph gives away after it", async () => {
  await using bench = await startBench();
  const graph = new StateGraph(State)
    .addNode("planner", announcing(bench, "coder"))
    .addNode("coder", announcing(bench, ["tester", "writer"]))
    .addNode("tester", announcing(bench, END))
    .addNode("writer", () => (bench.sage.announce([]), {}))
    .addEdge(START, "planner")
    .addConditionalEdges("planner", () => "coder", ["coder", "tester"])
    .addConditionalEdges("coder", () => [new Send("tester", input), new Send("writer", input)])
    .compile();
  await bench.sage.instrument(graph).invoke(input, session);
  expect(announced(bench)).toEqual([
    "planner => coder",
    "coder => tester,writer",
    `writer => ${END}`,
    `tester => ${END}`,
  ]);
  const told = lines(bench.events);
  expect(told.slice(told.indexOf("planner: completed"), told.indexOf("+coder"))).toEqual([
    "planner: completed",
    "planner => coder (app)",
    "planner => coder (router)",
    "-planner completed",
  ]);
  expect(bench.warnings).toEqual([]);
  expect(bench.faults).toEqual([]);
});

test("inside a subgraph its nodes are meant, and inside an agent the graph around it", async () => {
  await using bench = await startBench(({ body }) =>
    JSON.stringify(body).includes("tool_call_id")
      ? { text: "done" }
      : { tool: { name: "hand", arguments: {} } },
  );
  const hand = tool(
    () => {
      bench.sage.announce("writer");
      return "handed";
    },
    { name: "hand", description: "Hands over.", schema: z.object({}) },
  );
  const agent = createAgent({ name: "researcher", model: bench.model(), tools: [hand] });
  const inner = new StateGraph(State)
    .addNode("draft", () => (bench.sage.announce("check"), {}))
    .addNode("check", () => ({}))
    .addEdge(START, "draft")
    .addEdge("draft", "check")
    .compile();
  const graph = new StateGraph(State)
    .addNode("researcher", agent.graph)
    .addNode("writer", inner)
    .addEdge(START, "researcher")
    .addConditionalEdges("researcher", () => "writer", ["writer", END])
    .compile();
  await bench.sage.instrument(graph).invoke(input, session);
  expect(bench.warnings).toEqual([]);
  expect(announced(bench)).toEqual(["researcher => writer", "writer/draft => writer/check"]);
});

test("a wrapped node, whose graph nobody sees, may name any agent", async () => {
  await using bench = await startBench();
  const graph = new StateGraph(State)
    .addNode("plan", bench.sage.wrapNode(announcing(bench, "coder"), { agent: "planner" }))
    .addNode("coder", () => ({}))
    .addEdge(START, "plan")
    .addEdge("plan", "coder")
    .compile();
  await graph.invoke(input, session);
  expect(announced(bench)).toEqual(["planner => coder"]);
  expect(bench.warnings).toEqual([]);
});

test("outside of nodes, or with a name that is no node's, it warns once, tells nothing and changes nothing", async () => {
  await using bench = await startBench();
  const { sage } = bench;
  sage.announce("coder");
  sage.announce("coder");
  expect(bench.warnings).toEqual([expect.stringContaining("Call it inside a node")]);
  const graph = new StateGraph(State)
    .addNode(
      "planner",
      () => {
        sage.announce("codr");
        sage.announce("codr");
        sage.announce(undefined as never);
        return new Command({ goto: "coder" });
      },
      { ends: ["coder"] },
    )
    .addNode("coder", () => ({ messages: [] }))
    .addEdge(START, "planner")
    .compile();
  const { messages } = await sage.instrument(graph).invoke(input, session);
  expect(messages).toHaveLength(1);
  expect(announced(bench)).toEqual([]);
  expect(bench.warnings.slice(1)).toEqual([
    expect.stringMatching(/got "codr".* pass one of planner, coder, __end__/),
    expect.stringContaining("got undefined"),
  ]);
  expect(bench.faults).toEqual([]);
});
