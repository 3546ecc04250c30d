import { randomUUID } from "node:crypto";
import { HumanMessage } from "@langchain/core/messages";
import { Annotation, Send, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import type { Identity } from "../../src/runtime/event.ts";
import { only, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";

const State = Annotation.Root({ run: Annotation<string>, thread: Annotation<string> });
type Input = typeof State.State;

const claim = (agent: string, { run, thread }: Input) => JSON.stringify({ agent, run, session: thread });

/** A graph in which every prompt says who is asking: parallel nodes, Send, a subgraph, and every way to call. */
function chorus(bench: Bench) {
  const seen = bench.model();
  const unseen = bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const invoke = (agent: string) => async (state: Input) => {
    await seen.invoke(claim(agent, state));
    return {};
  };
  const unheard = (agent: string) => async (state: Input) => {
    await unseen.invoke(claim(agent, state), { callbacks: [] });
    return {};
  };
  const stream = (agent: string) => async (state: Input) => {
    await drain(await seen.stream(claim(agent, state)));
    return {};
  };
  const generate = (agent: string) => async (state: Input) => {
    const prompt = [new HumanMessage(claim(agent, state))];
    await seen.generate([prompt, prompt]);
    return {};
  };
  const inner = new StateGraph(State)
    .addNode("writer", stream("team/writer"))
    .addNode("editor", unheard("team/editor"))
    .addEdge(START, "writer")
    .addEdge("writer", "editor")
    .compile();
  return new StateGraph(State)
    .addNode("planner", invoke("planner"))
    .addNode("left", stream("left"))
    .addNode("right", unheard("right"))
    .addNode("worker", generate("worker"))
    .addNode("team", inner)
    .addEdge(START, "planner")
    .addEdge("planner", "left")
    .addEdge("planner", "right")
    .addConditionalEdges("left", (state) => [new Send("worker", state), new Send("worker", state)], [
      "worker",
    ])
    .addEdge("right", "team")
    .compile();
}

test("20 interleaved runs on one graph are never mixed up", async () => {
  await using bench = await startBench();
  const graph = bench.sage.instrument(chorus(bench));
  await Promise.all(
    Array.from({ length: 20 }, (_unused, index) => {
      const run = randomUUID();
      const thread = `thread-${index}`;
      return graph.invoke({ run, thread }, { runId: run, configurable: { thread_id: thread } });
    }),
  );
  expect(bench.faults).toEqual([]);
  expect(bench.server.requests).toHaveLength(20 * 9);
  const mismatches = bench.server.requests.filter(({ body }) => {
    const truth = JSON.parse(String(body.messages?.[0]?.content)) as Identity;
    const { agent, run, session } = body["seen_by"] as Identity;
    return agent !== truth.agent || run !== truth.run || session !== truth.session;
  });
  expect(mismatches).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  for (const type of ["run-start", "run-end"] as const) expect(only(bench.events, type)).toHaveLength(20);
  expect(only(bench.events, "agent-start")).toHaveLength(20 * 8);
  expect(only(bench.events, "agent-end").every(({ status }) => status === "completed")).toBe(true);
  expect(only(bench.events, "request-start")).toHaveLength(20 * 9);
  expect(only(bench.events, "request-end").every(({ status }) => status === "completed")).toBe(true);
});

test("a batch on one graph is as many runs, each with its own session", async () => {
  await using bench = await startBench();
  const model = bench.model();
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("planner", async ({ thread }) => {
        await model.invoke(thread);
        return {};
      })
      .addEdge(START, "planner")
      .compile(),
  );
  const threads = ["one", "two", "three"];
  await graph.batch(
    threads.map((thread) => ({ run: "", thread })),
    threads.map((thread) => ({ configurable: { thread_id: thread } })),
  );
  expect(bench.faults).toEqual([]);
  const seen = bench.server.requests.map(({ body }) => ({
    asked: body.messages?.[0]?.content,
    ...(body["seen_by"] as Identity),
  }));
  expect(seen.map(({ asked, session }) => [asked, session])).toEqual(seen.map(({ asked }) => [asked, asked]));
  expect(new Set(seen.map(({ run }) => run)).size).toBe(threads.length);
  expect(new Set(only(bench.events, "run-end").map(({ session }) => session))).toEqual(new Set(threads));
});
