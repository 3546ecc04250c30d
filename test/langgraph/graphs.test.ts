import {
  Annotation,
  Command,
  END,
  entrypoint,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
  task,
} from "@langchain/langgraph";
import { expect, test } from "vitest";
import { readCounts } from "../../src/learn/counts.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { lines, only, seenBy, session, startBench, type Bench } from "./bench.ts";

const State = MessagesAnnotation;

/** A node that calls the model once. */
function calls(bench: Bench, prompt = "hi") {
  const model = bench.model();
  return async () => ({ messages: [await model.invoke(prompt)] });
}

/** The one run of a bench, after checking that all events and requests are from it. */
function theRun(bench: Bench): string {
  const runs = new Set(bench.events.flatMap((event) => ("run" in event ? [event.run] : [])));
  expect(runs.size).toBe(1);
  for (const identity of seenBy(bench.server)) expect(runs).toContain(identity?.run);
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  return [...runs][0] as string;
}

test("plain functions are agents, and declared edges are told when a node ends", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", calls(bench))
      .addNode("plain", () => ({}))
      .addEdge(START, "planner")
      .addEdge("planner", "plain")
      .compile({ name: "shop" }),
  );
  await graph.invoke({ messages: [] }, session);
  const run = theRun(bench);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "planner => plain (edge)",
    "-planner completed",
    "+plain",
    "plain => __end__ (edge)",
    "-plain completed",
    "run-end completed",
  ]);
  expect(seenBy(bench.server)).toEqual([
    { agent: "planner", run, session: "thread", namespace: "planner", step: 1 },
  ]);
  expect(only(bench.events, "run-start")).toMatchObject([{ run, session: "thread", graph: "shop" }]);
  expect(only(bench.events, "run-end")).toMatchObject([{ run, session: "thread", status: "completed" }]);
});

test("a condition's result is told through its path map, before its node ends", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", calls(bench))
      .addNode("coder", () => ({}))
      .addEdge(START, "planner")
      .addConditionalEdges("planner", () => "more", { more: "coder", enough: END })
      .addConditionalEdges("coder", () => END)
      .compile(),
  );
  await graph.invoke({ messages: [] });
  theRun(bench);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "planner => coder (router)",
    "-planner completed",
    "+coder",
    "coder => __end__ (router)",
    "-coder completed",
    "run-end completed",
  ]);
});

test("a Runnable of the user's own that returns a node's name is no condition", async () => {
  await using bench = await startBench();
  const { RunnableLambda } = await import("@langchain/core/runnables");
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", async () => {
        await RunnableLambda.from(() => "coder").invoke("x");
        return {};
      })
      .addNode("coder", () => ({}))
      .addEdge(START, "planner")
      .addConditionalEdges("planner", () => END, ["coder", END])
      .compile(),
  );
  await graph.invoke({ messages: [] });
  expect(only(bench.events, "next-agents").map(({ agents }) => agents)).toEqual([[END]]);
});

test("without instrument, a condition's result is believed once its node was seen", async () => {
  await using bench = await startBench();
  const graph = new StateGraph(State)
    .addNode("planner", () => ({}))
    .addNode("coder", () => ({}))
    .addEdge(START, "planner")
    .addConditionalEdges("planner", () => "coder", ["coder", END])
    .compile();
  const config = { callbacks: [bench.sage.handler] };
  await graph.invoke({ messages: [] }, config);
  expect(only(bench.events, "next-agents")).toEqual([]);
  await graph.invoke({ messages: [] }, config);
  expect(only(bench.events, "next-agents")).toMatchObject([
    { from: "planner", agents: ["coder"], source: "router" },
  ]);
});

test("Command.goto is told with the node's declared edges", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", () => new Command({ goto: ["coder", new Send("writer", {})] }), {
        ends: ["coder", "writer"],
      })
      .addNode("coder", () => ({}))
      .addNode("writer", () => ({}))
      .addNode("auditor", () => ({}))
      .addEdge(START, "planner")
      .addEdge("planner", "auditor")
      .compile(),
  );
  await graph.invoke({ messages: [] });
  theRun(bench);
  expect(only(bench.events, "next-agents")[0]).toMatchObject({
    from: "planner",
    agents: ["coder", "writer", "auditor"],
    source: "command",
  });
});

test("Send starts one activation for each packet", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", () => ({}))
      .addNode("worker", calls(bench))
      .addEdge(START, "planner")
      .addConditionalEdges("planner", () => [1, 2, 3].map(() => new Send("worker", { messages: [] })), [
        "worker",
      ])
      .compile(),
  );
  await graph.invoke({ messages: [] }, session);
  const run = theRun(bench);
  const started = only(bench.events, "agent-start").filter(({ agent }) => agent === "worker");
  expect(new Set(started.map(({ activation }) => activation)).size).toBe(3);
  expect(only(bench.events, "next-agents")[0]).toMatchObject({ agents: ["worker"], source: "router" });
  const worker = { agent: "worker", run, session: "thread", namespace: "worker", step: 2 };
  expect(seenBy(bench.server)).toEqual([worker, worker, worker]);
});

test("parallel nodes are active at once, and a join is told by the last of them", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("left", calls(bench))
      .addNode("right", calls(bench))
      .addNode("join", () => ({}))
      .addEdge(START, "left")
      .addEdge(START, "right")
      .addEdge(["left", "right"], "join")
      .compile(),
  );
  await graph.invoke({ messages: [] });
  theRun(bench);
  const log = lines(bench.events);
  expect(log.slice(1, 3).toSorted()).toEqual(["+left", "+right"]);
  expect(Math.max(log.indexOf("+left"), log.indexOf("+right"))).toBeLessThan(log.indexOf("-left completed"));
  const next = only(bench.events, "next-agents");
  expect(next.filter(({ agents }) => agents.includes("join"))).toHaveLength(1);
  expect(log.indexOf("+join")).toBeGreaterThan(log.indexOf("-right completed"));
  expect(
    seenBy(bench.server)
      .map((identity) => identity?.agent)
      .toSorted(),
  ).toEqual(["left", "right"]);
});

/** A graph whose node `last` waits for branches of one and of two nodes; the longer one leads there only if told to. */
async function deferring(leads: boolean) {
  await using bench = await startBench();
  const builder = new StateGraph(State)
    .addNode("short", calls(bench))
    .addNode("long", calls(bench))
    .addNode("longer", calls(bench))
    .addNode("last", () => ({}), { defer: true })
    .addEdge(START, "short")
    .addEdge(START, "long")
    .addEdge("short", "last")
    .addEdge("long", "longer");
  const graph = bench.sage.instrument(
    leads ? builder.addEdge("longer", "last").compile() : builder.compile(),
  );
  await graph.invoke({ messages: [] });
  theRun(bench);
  return only(bench.events, "next-agents").map(({ from, agents }) => `${from} => ${agents.join(",")}`);
}

test("a deferred node is told by the node after which nothing else is left to run", async () => {
  for (const leads of [true, false])
    expect(await deferring(leads)).toEqual(["long => longer", "longer => last", "last => __end__"]);
});

function publishing(bench: Bench) {
  return new StateGraph(State)
    .addNode("writer", calls(bench))
    .addNode("editor", calls(bench))
    .addEdge(START, "writer")
    .addEdge("writer", "editor")
    .compile({ name: "publishing" });
}

const published = [
  "+publish",
  "+publish/writer",
  "publish/writer: request",
  "publish/writer: completed",
  "publish/writer => publish/editor (edge)",
  "-publish/writer completed",
  "+publish/editor",
  "publish/editor: request",
  "publish/editor: completed",
  "-publish/editor completed",
  "publish => __end__ (edge)",
  "-publish completed",
];

test("a subgraph as a node has agents of its own, in its namespace", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State).addNode("publish", publishing(bench)).addEdge(START, "publish").compile(),
  );
  await graph.invoke({ messages: [] }, session);
  const run = theRun(bench);
  expect(lines(bench.events)).toEqual(["run-start", ...published, "run-end completed"]);
  expect(seenBy(bench.server)).toEqual([
    { agent: "publish/writer", run, session: "thread", namespace: "publish|writer", step: 1 },
    { agent: "publish/editor", run, session: "thread", namespace: "publish|editor", step: 2 },
  ]);
  expect(only(bench.events, "topology")).toMatchObject([
    {
      agents: ["publish", "publish/writer", "publish/editor"],
      edges: [
        { from: START, to: "publish", weight: 1 },
        { from: "publish", to: "publish/writer", weight: 1 },
        { from: "publish/writer", to: "publish/editor", weight: 1 },
        { from: "publish/editor", to: END, weight: 1 },
      ],
    },
  ]);
});

test("subgraphs called in a function, twice in a row, keep their path", async () => {
  await using bench = await startBench();
  const inner = bench.sage.instrument(publishing(bench));
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("publish", async (state) => {
        await inner.invoke(state);
        return inner.invoke(state);
      })
      .addEdge(START, "publish")
      .compile(),
  );
  await graph.invoke({ messages: [] }, session);
  theRun(bench);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+publish",
    ...published.slice(1, -2),
    ...published.slice(1, -2),
    "publish => __end__ (edge)",
    "-publish completed",
    "run-end completed",
  ]);
  expect(seenBy(bench.server)[3]).toMatchObject({ agent: "publish/editor", namespace: "publish|editor" });
});

test("the functional API: entrypoint and tasks are agents", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const bare = bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const research = task("research", async (topic: string) => String((await model.invoke(topic)).content));
  const check = task("check", async (topic: string) =>
    String((await bare.invoke(topic, { callbacks: [] })).content),
  );
  const flow = bench.sage.instrument(
    entrypoint("flow", async (topic: string) => `${await research(topic)} ${await check(topic)}`),
  );
  expect(await flow.invoke("x", session)).toBe("ok ok");
  const run = theRun(bench);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+flow",
    "+flow/research",
    "flow/research: request",
    "flow/research: completed",
    "-flow/research completed",
    "+flow/check",
    "flow/check: request",
    "flow/check: completed",
    "-flow/check completed",
    "flow => __end__ (edge)",
    "-flow completed",
    "run-end completed",
  ]);
  expect(seenBy(bench.server)).toEqual([
    { agent: "flow/research", run, session: "thread", namespace: "flow|research" },
    { agent: "flow/check", run, session: "thread", namespace: "flow|check" },
  ]);
});

test("tasks that follow each other are no siblings of one superstep: who follows whom is learned", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const ask = async (topic: string) => String((await model.invoke(topic)).content);
  const [research, check] = [task("research", ask), task("check", ask)];
  const work = async (topic: string) => {
    for (let i = 0; i < 3; i++) await check(await research(topic));
    return topic;
  };
  const flow = bench.sage.instrument(entrypoint("flow", work));
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("node", async () => void (await work("x")))
      .addEdge(START, "node")
      .compile(),
  );
  for (const run of [() => flow.invoke("x"), () => graph.invoke({ messages: [] })]) {
    const predictor = new LearnedPredictor();
    bench.events.length = 0;
    for (let i = 0; i < 3; i++) await run();
    for (const event of bench.events) {
      predictor.observe(event);
      if (event.type === "request-end") predictor.next(event.run);
    }
    const { asked, right } = predictor.accuracy;
    expect(asked).toBe(15);
    expect(right).toBeGreaterThan(10);
  }
});

test("graphs that a node calls in a row are no siblings, and those that it calls side by side are", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const inner = (name: string) =>
    new StateGraph(State)
      .addNode(name, async () => ({ messages: [await model.invoke(name)] }))
      .addEdge(START, name)
      .compile();
  const [search, write, check] = [inner("search"), inner("write"), inner("check")];
  const desk = bench.sage.instrument(
    new StateGraph(State)
      .addNode("desk", async (state) => {
        await search.invoke(state);
        await Promise.all([write.invoke(state), check.invoke(state)]);
      })
      .addEdge(START, "desk")
      .compile(),
  );
  await desk.invoke({ messages: [] });
  const predictor = new LearnedPredictor();
  for (const event of bench.events) predictor.observe(event);
  const { agents, transitions } = predictor.snapshot();
  const follow = transitions.agents.flatMap((counts, from) =>
    readCounts(counts).flatMap((count, to) => (count > 0 ? [`${agents[from]}>${agents[to]}`] : [])),
  );
  expect(follow.toSorted()).toEqual(
    [
      `${START}>desk/search`,
      "desk/search>desk/write",
      "desk/search>desk/check",
      `desk/write>${END}`,
      `desk/check>${END}`,
    ].toSorted(),
  );
});

const nothing = () => ({});

test("declared branches weigh 1 / out-degree, and an undeclared one may go anywhere", async () => {
  await using bench = await startBench();
  bench.sage.instrument(
    new StateGraph(Annotation.Root({}))
      .addNode("a", nothing)
      .addNode("b", nothing)
      .addNode("c", nothing, { ends: ["a", "b"] })
      .addEdge(START, "a")
      .addConditionalEdges("a", () => "b")
      .addEdge("b", "c")
      .compile(),
  );
  const third = 1 / 3;
  expect(only(bench.events, "topology")[0]?.edges).toEqual([
    { from: START, to: "a", weight: 1 },
    { from: "a", to: "b", weight: third },
    { from: "a", to: "c", weight: third },
    { from: "a", to: END, weight: third },
    { from: "b", to: "c", weight: 1 },
    { from: "c", to: "a", weight: 0.5 },
    { from: "c", to: "b", weight: 0.5 },
  ]);
});

test("a graph of the user's own with nodes called agent and tools keeps them apart", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", calls(bench))
      .addNode("agent", calls(bench))
      .addEdge(START, "planner")
      .addEdge("planner", "agent")
      .compile(),
  );
  await graph.invoke({ messages: [] });
  theRun(bench);
  expect(seenBy(bench.server).map((identity) => identity?.agent)).toEqual(["planner", "agent"]);
});
