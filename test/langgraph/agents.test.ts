import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createSupervisor } from "@langchain/langgraph-supervisor";
import { createHandoffTool, createSwarm } from "@langchain/langgraph-swarm";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { createAgent, tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { checked, only, seenBy, session, startBench } from "./bench.ts";
import type { Script } from "./scripted-server.ts";
import { signal } from "./signal.ts";

const ask = { messages: [{ role: "user" as const, content: "question" }] };

const add = tool(({ a, b }) => String(a + b), {
  name: "add",
  description: "Adds two numbers.",
  schema: z.object({ a: z.number(), b: z.number() }),
});

/** Calls the tool in the first request and answers all others. */
function first(name: string, given: object = {}): Script {
  return (_request, index) => (index === 0 ? { tool: { name, arguments: given } } : { text: "done" });
}

const oneActivation = (agent: string) => [
  "run-start",
  `+${agent}`,
  `${agent}: request`,
  `${agent}: completed`,
  `${agent}: tool add`,
  `${agent}: tool add completed`,
  `${agent}: request`,
  `${agent}: completed`,
  `${agent} => __end__ (router)`,
  `-${agent} completed`,
  "run-end completed",
];

test("createReactAgent alone is one activation with the name it was compiled with", async () => {
  await using bench = await startBench(first("add", { a: 1, b: 2 }));
  const agent = bench.sage.instrument(
    createReactAgent({ llm: bench.model(), tools: [add], name: "calculator" }),
  );
  await agent.invoke(ask, session);
  expect(checked(bench)).toEqual(oneActivation("calculator"));
  expect(seenBy(bench.server)).toMatchObject([
    { agent: "calculator", namespace: "agent", step: 1 },
    { agent: "calculator", namespace: "agent", step: 3 },
  ]);
  expect(only(bench.events, "tool-start")).toMatchObject([
    { tool: "add", call: "call_add", namespace: "tools" },
  ]);
  expect(only(bench.events, "agent-start")).toMatchObject([{ namespace: "" }]);
});

test("createAgent is one activation with its own name, instrumented or not", async () => {
  for (const isInstrumented of [true, false]) {
    await using bench = await startBench(first("add", { a: 1, b: 2 }));
    const agent = createAgent({ model: bench.model(), tools: [add], name: "alice" });
    if (isInstrumented) bench.sage.instrument(agent);
    await agent.invoke(ask, { ...session, ...(!isInstrumented && { callbacks: [bench.sage.handler] }) });
    expect(checked(bench)).toEqual(oneActivation("alice"));
    expect(seenBy(bench.server)).toMatchObject([
      { agent: "alice", namespace: "model_request", step: 1 },
      { agent: "alice", namespace: "model_request", step: 3 },
    ]);
  }
});

test("createAgent as a node is one activation with its own name", async () => {
  await using bench = await startBench(first("add", { a: 1, b: 2 }));
  const agent = createAgent({ model: bench.model(), tools: [add], name: "alice" });
  const graph = bench.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("helper", agent.graph as never)
      .addEdge(START, "helper" as never)
      .compile(),
  );
  await graph.invoke(ask, session);
  const expected = oneActivation("alice").filter((line) => !line.includes("router"));
  expect(checked(bench)).toEqual(expected.toSpliced(-2, 0, "alice => __end__ (edge)"));
  expect(only(bench.events, "topology")[0]?.agents).toEqual(["alice"]);
});

test("an agent that a tool calls is an activation of its own inside the caller's", async () => {
  await using bench = await startBench((_request, index) =>
    index === 0 ? { tool: { name: "ask_helper", arguments: {} } } : { text: "done" },
  );
  for (const makeHelper of [
    () => createAgent({ model: bench.model(), tools: [add], name: "helper" }),
    () => createReactAgent({ llm: bench.model(), tools: [add], name: "helper" }),
  ]) {
    bench.events.length = 0;
    bench.server.requests.length = 0;
    const helper = makeHelper();
    const askHelper = tool(async () => JSON.stringify((await helper.invoke(ask)).messages.at(-1)?.content), {
      name: "ask_helper",
      description: "Asks the helper.",
      schema: z.object({}),
    });
    const agent = bench.sage.instrument(
      createAgent({ model: bench.model(), tools: [askHelper], name: "main" }),
    );
    await agent.invoke(ask, session);
    expect(checked(bench)).toEqual([
      "run-start",
      "+main",
      "main: request",
      "main: completed",
      "main: tool ask_helper",
      "+helper",
      "helper: request",
      "helper: completed",
      "-helper completed",
      "main: tool ask_helper completed",
      "main: request",
      "main: completed",
      "main => __end__ (router)",
      "-main completed",
      "run-end completed",
    ]);
  }
});

test("tool calls to which the server gave one id are told apart while they are under way", async () => {
  await using bench = await startBench((_request, index) =>
    index < 2 ? { tool: { name: "meet", arguments: {}, id: "call_0" } } : { text: "done" },
  );
  const met = signal();
  let here = 0;
  const meet = tool(async () => (++here === 2 && met.resolve(), await met.promise, "met"), {
    name: "meet",
    description: "Waits for the other run.",
    schema: z.object({}),
  });
  const agent = bench.sage.instrument(createAgent({ model: bench.model(), tools: [meet], name: "alice" }));
  await Promise.all([agent.invoke(ask), agent.invoke(ask)]);
  const started = only(bench.events, "tool-start").map(({ run, call }) => `${run} ${call}`);
  const ended = only(bench.events, "tool-end").map(({ run, call }) => `${run} ${call}`);
  expect(started[0]).toMatch(/ call_0$/);
  expect(new Set(only(bench.events, "tool-start").map(({ call }) => call)).size).toBe(2);
  expect(ended.toSorted()).toEqual(started.toSorted());
});

test("a supervisor hands off and gets back", async () => {
  await using bench = await startBench(first("transfer_to_researcher"));
  const llm = bench.model();
  const graph = bench.sage.instrument(
    createSupervisor({
      llm,
      agents: [
        createReactAgent({ llm, tools: [add], name: "researcher" }),
        createReactAgent({ llm, tools: [add], name: "mathematician" }),
      ],
    }).compile(),
  );
  await graph.invoke(ask, session);
  expect(checked(bench)).toEqual([
    "run-start",
    "+supervisor",
    "supervisor: request",
    "supervisor: completed",
    "supervisor: tool transfer_to_researcher",
    "supervisor => researcher (handoff)",
    "supervisor: tool transfer_to_researcher completed",
    "-supervisor completed",
    "+researcher",
    "researcher: request",
    "researcher: completed",
    "researcher => supervisor (edge)",
    "-researcher completed",
    "+supervisor",
    "supervisor: request",
    "supervisor: completed",
    "supervisor => __end__ (edge)",
    "-supervisor completed",
    "run-end completed",
  ]);
  expect(seenBy(bench.server).map((identity) => identity?.namespace)).toEqual([
    "supervisor|agent",
    "researcher|agent",
    "supervisor|agent",
  ]);
  expect(only(bench.events, "topology")[0]?.agents).toEqual(["supervisor", "researcher", "mathematician"]);
});

test("a swarm hands off between peers, also with the handler alone", async () => {
  for (const isInstrumented of [true, false]) {
    await using bench = await startBench(first("transfer_to_bob"));
    const llm = bench.model();
    const agents = [
      createReactAgent({ llm, tools: [createHandoffTool({ agentName: "bob" })], name: "alice" }),
      createReactAgent({ llm, tools: [createHandoffTool({ agentName: "alice" })], name: "bob" }),
    ];
    const graph = createSwarm({ agents, defaultActiveAgent: "alice" }).compile();
    if (isInstrumented) bench.sage.instrument(graph);
    await graph.invoke(ask, { ...session, ...(!isInstrumented && { callbacks: [bench.sage.handler] }) });
    expect(checked(bench)).toEqual([
      "run-start",
      "+alice",
      "alice: request",
      "alice: completed",
      "alice: tool transfer_to_bob",
      "alice => bob (handoff)",
      "alice: tool transfer_to_bob completed",
      "-alice completed",
      "+bob",
      "bob: request",
      "bob: completed",
      ...(isInstrumented ? ["bob => __end__ (edge)"] : []),
      "-bob completed",
      "run-end completed",
    ]);
    expect(seenBy(bench.server)).toMatchObject([
      { agent: "alice", namespace: "alice|agent", step: 1 },
      { agent: "bob", namespace: "bob|agent", step: 1 },
    ]);
  }
});

test("a swarm's topology starts at any of its agents, which may hand off or be done", async () => {
  await using bench = await startBench();
  const llm = bench.model();
  const agents = ["alice", "bob"].map((name) =>
    createReactAgent({
      llm,
      name,
      tools: [createHandoffTool({ agentName: name === "bob" ? "alice" : "bob" })],
    }),
  );
  bench.sage.instrument(createSwarm({ agents, defaultActiveAgent: "alice" }).compile());
  expect(only(bench.events, "topology")[0]?.edges).toEqual([
    { from: START, to: "alice", weight: 0.5 },
    { from: START, to: "bob", weight: 0.5 },
    { from: "alice", to: "bob", weight: 0.5 },
    { from: "alice", to: END, weight: 0.5 },
    { from: "bob", to: "alice", weight: 0.5 },
    { from: "bob", to: END, weight: 0.5 },
  ]);
});
