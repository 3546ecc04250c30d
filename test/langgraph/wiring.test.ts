import { RunnableLambda } from "@langchain/core/runnables";
import { Command, MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { createAgent, tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { createFramework } from "../../src/langgraph/index.ts";
import { lines, only, seenBy, session, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";

const State = MessagesAnnotation;
const input = { messages: [{ role: "user" as const, content: "x" }] };
const noop = tool(() => "x", { name: "noop", description: "Does nothing.", schema: z.object({}) });

function calls(bench: Bench, isObserved = true) {
  const model = isObserved ? bench.model() : bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  return async () => ({ messages: [await model.invoke("hi")] });
}

test("the model alone: each call is an activation with its node's identity, in one run", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const streams = async () => {
    await drain(await model.stream("hi"));
    return {};
  };
  const graph = new StateGraph(State)
    .addNode("planner", calls(bench))
    .addNode("coder", streams)
    .addEdge(START, "planner")
    .addEdge("planner", "coder")
    .compile();
  await graph.invoke(input, session);
  expect(bench.faults).toEqual([]);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "-planner completed",
    "+coder",
    "coder: request",
    "coder: token",
    "coder: completed",
    "-coder completed",
  ]);
  const run = only(bench.events, "run-start")[0]?.run;
  expect(seenBy(bench.server)).toEqual([
    { agent: "planner", run, session: "thread", namespace: "planner", step: 1 },
    { agent: "coder", run, session: "thread", namespace: "coder", step: 2 },
  ]);
  expect(bench.sage.handler.pending).toBe(0);
});

test("the model alone: two runs without a session are two runs", async () => {
  await using bench = await startBench();
  const graph = new StateGraph(State).addNode("planner", calls(bench)).addEdge(START, "planner").compile();
  await Promise.all([graph.invoke(input), graph.invoke(input)]);
  expect(only(bench.events, "run-start")).toHaveLength(2);
  expect(new Set(seenBy(bench.server).map((identity) => identity?.run)).size).toBe(2);
});

test("the model alone: createAgent's calls carry its name", async () => {
  await using bench = await startBench();
  const agent = createAgent({ model: bench.model(), tools: [noop], name: "alice" });
  await agent.invoke(input, session);
  expect(seenBy(bench.server)).toMatchObject([
    { agent: "alice", session: "thread", namespace: "model_request" },
  ]);
});

test("wrapNode alone tells activations, Commands and requests, in one run", async () => {
  await using bench = await startBench();
  const graph = new StateGraph(State)
    .addNode(
      "planner",
      bench.sage.wrapNode(async () => new Command({ update: await calls(bench, false)(), goto: "coder" })),
      { ends: ["coder"] },
    )
    .addNode("coder", bench.sage.wrapNode(calls(bench, false), { agent: "engineer" }))
    .addEdge(START, "planner")
    .compile();
  await graph.invoke(input, session);
  expect(bench.faults).toEqual([]);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "planner => coder (command)",
    "-planner completed",
    "+engineer",
    "engineer: request",
    "engineer: completed",
    "-engineer completed",
  ]);
  const run = only(bench.events, "run-start")[0]?.run;
  expect(seenBy(bench.server)).toEqual([
    { agent: "planner", run, session: "thread", namespace: "planner", step: 1 },
    { agent: "engineer", run, session: "thread", namespace: "coder", step: 2 },
  ]);
  expect(bench.sage.handler.pending).toBe(0);
});

test("wrapNode alone: nodes of a graph that a wrapped node calls are agents of their own, a ready-made agent is that node", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const inner = new StateGraph(State)
    .addNode("think", async () => ({ messages: [await model.invoke("think")] }))
    .addNode("act", async () => ({ messages: [await model.invoke("act")] }))
    .addEdge(START, "think")
    .addEdge("think", "act")
    .compile();
  const ready = createReactAgent({ llm: model, tools: [] });
  const work = async () => {
    await inner.invoke({ messages: [] });
    await ready.invoke({ messages: [] });
    return { messages: [await model.invoke("own")] };
  };
  const graph = new StateGraph(State)
    .addNode("execute", bench.sage.wrapNode(work))
    .addEdge(START, "execute")
    .compile();
  await graph.invoke({ messages: [] }, session);
  expect(bench.faults).toEqual([]);
  const agents = seenBy(bench.server).map((identity) => identity?.agent);
  expect(agents).toEqual(["execute/think", "execute/act", "execute", "execute"]);
  expect(only(bench.events, "run-start")).toHaveLength(1);
  expect(lines(bench.events).slice(0, 5)).toEqual([
    "run-start",
    "+execute",
    "+execute/think",
    "execute/think: request",
    "execute/think: completed",
  ]);
});

test("an instrumented graph whose callbacks were replaced is still seen, and its end late, with one warning", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", calls(bench, false))
      .addNode("coder", calls(bench, false))
      .addEdge(START, "planner")
      .addEdge("planner", "coder")
      .compile(),
  );
  await graph.invoke(input, session);
  expect(bench.warnings).toEqual([]);
  // As LangGraph.js before 1.4.4 does where a call brings callbacks of its own.
  graph.config = { ...graph.config, callbacks: [] };
  bench.events.length = 0;
  await graph.invoke(input, session);
  await graph.invoke(input, session);
  expect(only(bench.events, "request-start").map(({ agent }) => agent)).toEqual([
    "planner",
    "coder",
    "planner",
    "coder",
  ]);
  const [first] = only(bench.events, "run-start");
  expect(only(bench.events, "run-end").map(({ run }) => run)).toEqual([first?.run]);
  expect(bench.warnings).toHaveLength(1);
  expect(bench.warnings[0]).toContain("Put sage.handler among them");
});

test.each([true, false])(
  "an explicit name wins from the start (instrumented: %s)",
  async (isInstrumented) => {
    await using bench = await startBench();
    const graph = new StateGraph(State)
      .addNode("planner", bench.sage.wrapNode(calls(bench), { agent: "strategist" }))
      .addNode("coder", bench.sage.wrapNode(RunnableLambda.from(calls(bench)), { agent: "engineer" }))
      .addEdge(START, "planner")
      .addConditionalEdges("planner", () => "coder", ["coder"])
      .compile();
    if (isInstrumented) bench.sage.instrument(bench.sage.instrument(graph));
    await graph.invoke(input, { ...session, ...(!isInstrumented && { callbacks: [bench.sage.handler] }) });
    expect(bench.faults).toEqual([]);
    expect(lines(bench.events)).toEqual([
      "run-start",
      "+strategist",
      "strategist: request",
      "strategist: completed",
      ...(isInstrumented ? ["strategist => engineer (router)"] : []),
      "-strategist completed",
      "+engineer",
      "engineer: request",
      "engineer: completed",
      ...(isInstrumented ? ["engineer => __end__ (edge)"] : []),
      "-engineer completed",
      "run-end completed",
    ]);
    expect(only(bench.events, "topology").map(({ agents }) => agents)).toEqual(
      isInstrumented ? [["strategist", "engineer"]] : [],
    );
  },
);

test("wrapNode names a subgraph, and its agent is called so", async () => {
  await using bench = await startBench();
  const inner = createAgent({ model: bench.model(), tools: [noop] }).graph;
  const node = bench.sage.wrapNode(inner, { agent: "clerk" });
  expect(node).toBe(inner);
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("desk", node as never)
      .addEdge(START, "desk" as never)
      .compile(),
  );
  await graph.invoke(input, session);
  expect(seenBy(bench.server)).toMatchObject([{ agent: "clerk", namespace: "desk|model_request" }]);
  expect(lines(bench.events).filter((line) => line.startsWith("+"))).toEqual(["+clerk"]);
});

test("the middleware alone gives createAgent's calls their name and run", async () => {
  await using bench = await startBench((_request, index) =>
    index === 0 ? { tool: { name: "noop", arguments: {} } } : { text: "done" },
  );
  const model = bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const agent = createAgent({ model, tools: [noop], name: "alice", middleware: [bench.sage.middleware()] });
  await agent.invoke(input, session);
  expect(bench.faults).toEqual([]);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+alice",
    "alice: request",
    "alice: completed",
    "-alice completed",
    "+alice",
    "alice: request",
    "alice: completed",
    "-alice completed",
  ]);
  const run = only(bench.events, "run-start")[0]?.run;
  for (const identity of seenBy(bench.server))
    expect(identity).toMatchObject({ agent: "alice", run, session: "thread" });
});

test("the middleware next to the handler tells nothing twice", async () => {
  await using bench = await startBench();
  const agent = createAgent({
    model: bench.model(),
    tools: [noop],
    name: "alice",
    middleware: [bench.sage.middleware()],
  });
  await bench.sage.instrument(agent).invoke(input, { ...session, callbacks: [bench.sage.handler] });
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+alice",
    "alice: request",
    "alice: completed",
    "alice => __end__ (router)",
    "-alice completed",
    "run-end completed",
  ]);
});

test("all wirings at once tell nothing twice", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", bench.sage.wrapNode(bench.sage.wrapNode(calls(bench))))
      .addEdge(START, "planner")
      .compile(),
  );
  bench.sage.instrument(graph);
  await graph.invoke(input, { callbacks: [bench.sage.handler] });
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "planner => __end__ (edge)",
    "-planner completed",
    "run-end completed",
  ]);
  expect(only(bench.events, "topology")).toHaveLength(1);
});

test("copies by withConfig are observed once", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State).addNode("planner", calls(bench)).addEdge(START, "planner").compile(),
  );
  const copy = bench.sage.instrument(graph.withConfig({ tags: ["copy"] }));
  await copy.invoke(input);
  expect(only(bench.events, "agent-start")).toHaveLength(1);
  expect(only(bench.events, "topology")).toHaveLength(1);
});

test("two engines may observe one graph", async () => {
  await using one = await startBench();
  await using two = await startBench();
  const graph = new StateGraph(State)
    .addNode("first", calls(one))
    .addNode("second", calls(two))
    .addEdge(START, "first")
    .addEdge("first", "second")
    .compile();
  two.sage.instrument(one.sage.instrument(graph));
  await graph.invoke(input);
  expect(seenBy(one.server)).toMatchObject([{ agent: "first" }]);
  expect(seenBy(two.server)).toMatchObject([{ agent: "second" }]);
  for (const { events } of [one, two])
    expect(only(events, "agent-start").map(({ agent }) => agent)).toEqual(["first", "second"]);
});

test("the user's own callbacks stay, in the graph and in the model", async () => {
  await using bench = await startBench();
  const heard: string[] = [];
  const own = {
    handleChatModelStart: () => void heard.push("model"),
    handleChainStart: () => void heard.push("graph"),
  };
  const model = bench.model({ callbacks: [{ handleLLMEnd: () => void heard.push("end") }] });
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("n", async () => ({ messages: [await model.invoke("hi")] }))
      .addEdge(START, "n")
      .compile()
      .withConfig({ callbacks: [own] }),
  );
  await graph.invoke(input);
  expect(new Set(heard)).toEqual(new Set(["graph", "model", "end"]));
  expect(only(bench.events, "request-start")).toHaveLength(1);
});

test("state, history, subgraphs and drawings stay what they were", async () => {
  await using bench = await startBench();
  const make = () => {
    const inner = new StateGraph(State).addNode("w", calls(bench)).addEdge(START, "w").compile();
    return new StateGraph(State)
      .addNode("team", inner)
      .addEdge(START, "team")
      .compile({ checkpointer: new MemorySaver() });
  };
  const plain = make();
  const graph = bench.sage.instrument(make());
  await graph.invoke(input, session);
  await plain.invoke(input, session);
  const shape = async (of: typeof graph) => ({
    next: (await of.getState(session)).next,
    messages: (await of.getState(session)).values.messages.length as number,
    subgraphs: [...of.getSubgraphs()].map(([name, subgraph]) => [name, subgraph.constructor.name]),
    mermaid: (await of.getGraphAsync({ xray: true })).drawMermaid(),
    json: JSON.stringify(of.toJSON()),
  });
  expect(await shape(graph)).toEqual(await shape(plain));
});

function planner(this: unknown, one: number, two: number) {
  return [this, one, two];
}

test("wrapNode keeps name, length, this, arguments, result and error", async () => {
  await using bench = await startBench();
  const { wrapNode } = bench.sage;
  const wrapped = wrapNode(planner, { agent: "x" });
  expect([wrapped.name, wrapped.length]).toEqual(["planner", 2]);
  const self = {};
  expect(wrapped.call(self, 1, 2)).toEqual([self, 1, 2]);
  const promise = Promise.resolve(1);
  expect(wrapNode(() => promise)()).toBe(promise);
  const failure = new Error("mine");
  expect(() =>
    wrapNode(() => {
      throw failure;
    })(),
  ).toThrow(failure);
});

function* generator() {
  yield 1;
}

test("foreign values come back untouched", async () => {
  await using bench = await startBench();
  const values = [
    undefined,
    null,
    3,
    "graph",
    {},
    { nodes: {} },
    { lg_is_pregel: true },
    Object.freeze({ graph: 1 }),
  ];
  for (const value of values) {
    expect(bench.sage.instrument(value)).toBe(value);
    expect(bench.sage.wrapNode(value)).toBe(value);
  }
  expect(bench.sage.wrapNode(generator)).toBe(generator);
  const frozen = Object.freeze({ lg_is_pregel: true, nodes: Object.freeze({}) });
  expect(bench.sage.instrument(frozen)).toBe(frozen);
  expect(bench.events).toEqual([]);
});

test("a chain of LangChain's own is a run with one agent, by its name", async () => {
  await using bench = await startBench();
  const chain = RunnableLambda.from((text: string) => [{ role: "user", content: text }])
    .pipe(bench.model())
    .withConfig({ runName: "summarizer" });
  await chain.invoke("hi", { callbacks: [bench.sage.handler] });
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+summarizer",
    "summarizer: request",
    "summarizer: completed",
    "-summarizer completed",
    "run-end completed",
  ]);
});

test("the host's flag and address are those it was made with", () => {
  const sage = createFramework({
    clock: { now: () => 0 },
    baseURL: "http://localhost:9/v1",
    cacheHints: false,
    emit: () => {},
    decorate: () => undefined,
    requestBody: () => {},
    answer: () => {},
    fault: () => {},
    warn: () => {},
  });
  expect(sage.model({ temperature: 0 })).toMatchObject({
    temperature: 0,
    callbacks: [sage.handler],
    configuration: { baseURL: "http://localhost:9/v1" },
  });
  expect(sage.model()).not.toHaveProperty("apiKey");
});
