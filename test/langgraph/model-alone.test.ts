import { setTimeout as wait } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { RunnableLambda } from "@langchain/core/runnables";
import {
  Annotation,
  entrypoint,
  interrupt,
  Command,
  type CompiledStateGraph,
  MemorySaver,
  RunControl,
  START,
  StateGraph,
  task,
} from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { createAgent, tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { only, seenBy, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";
import { signal } from "./signal.ts";

const State = Annotation.Root({ run: Annotation<string> });
type Node = (state: typeof State.State) => unknown;
const noop = tool(() => "x", { name: "noop", description: "Does nothing.", schema: z.object({}) });

/** Nodes one after the other, called `first`, `second` and so on. */
function chain(...nodes: readonly (Node | CompiledStateGraph<typeof State.State, object, string>)[]) {
  const names = ["first", "second", "third", "fourth", "fifth"].slice(0, nodes.length);
  const graph = new StateGraph(State) as StateGraph<typeof State.spec, typeof State.State, object, string>;
  for (const [index, name] of names.entries()) {
    const node = nodes[index] as Node;
    graph.addNode(name, typeof node === "function" ? async (state) => (await node(state), {}) : node);
    graph.addEdge(names[index - 1] ?? START, name);
  }
  return graph.compile();
}

/** Every way in which a node may call its model; each prompt says which run it is of. */
function waysOf(bench: Bench) {
  const model = bench.model();
  const invoke: Node = ({ run }) => model.invoke(run);
  const stream: Node = async ({ run }) => drain(await model.stream(run));
  const bound: Node = ({ run }) => model.bindTools([noop]).invoke(run);
  const boundStream: Node = async ({ run }) => drain(await model.bindTools([noop]).stream(run));
  const piped: Node = ({ run }) =>
    RunnableLambda.from(() => run)
      .pipe(model)
      .invoke("");
  const lambda: Node = ({ run }) => RunnableLambda.from(async () => model.invoke(run)).invoke("");
  const inTool: Node = ({ run }) => {
    const asks = async () => (await model.invoke(run)).text;
    return tool(asks, { name: "ask", description: "Asks.", schema: z.object({}) }).invoke({});
  };
  const inner = chain(invoke, stream);
  const nested: Node = (state) => inner.invoke(state);
  const nestedElsewhere: Node = (state) => inner.invoke(state, { configurable: { thread_id: "other" } });
  return { invoke, stream, bound, boundStream, piped, lambda, inTool, inner, nested, nestedElsewhere };
}

/** What the server was told: by run, agent, superstep and namespace of each call. */
function calls(bench: Bench) {
  const runs = [...new Set(seenBy(bench.server).map((identity) => identity?.run))];
  return seenBy(bench.server).map((identity) => {
    const { agent, run, step, namespace } = identity ?? {};
    return `${runs.indexOf(run)} ${agent} ${step} ${namespace}`;
  });
}

test.each(["invoke", "stream", "bound", "boundStream", "piped", "lambda", "inTool"] as const)(
  "without a thread, all calls of an invocation are one run: %s",
  async (way) => {
    await using bench = await startBench();
    const { [way]: asks } = waysOf(bench);
    await chain(asks, asks, asks).invoke({ run: "x" });
    expect(bench.faults).toEqual([]);
    expect(calls(bench)).toEqual(["0 first 1 first", "0 second 2 second", "0 third 3 third"]);
    expect(only(bench.events, "run-start")).toMatchObject([{ endIsUnseen: true }]);
    expect(bench.sage.handler.pending).toBe(0);
  },
);

test("so are those of graphs inside of it, as nodes and called by nodes", async () => {
  await using bench = await startBench();
  const { invoke, inner, nested, nestedElsewhere } = waysOf(bench);
  await chain(invoke, inner, nested, nestedElsewhere, invoke).invoke({ run: "x" });
  expect(bench.faults).toEqual([]);
  expect(calls(bench)).toEqual([
    "0 first 1 first",
    "0 second/first 1 second|first",
    "0 second/second 2 second|second",
    "0 third/first 1 third|first",
    "0 third/second 2 third|second",
    "0 fourth/first 1 fourth|first",
    "0 fourth/second 2 fourth|second",
    "0 fifth 5 fifth",
  ]);
  expect(only(bench.events, "run-start")).toHaveLength(1);
});

test("so are those of parallel branches", async () => {
  await using bench = await startBench();
  const { invoke, stream, lambda } = waysOf(bench);
  const node = (asks: Node) => async (state: typeof State.State) => (await asks(state), {});
  const graph = new StateGraph(State)
    .addNode("left", node(invoke))
    .addNode("right", node(stream))
    .addNode("last", node(lambda))
    .addEdge(START, "left")
    .addEdge(START, "right")
    .addEdge(["left", "right"], "last")
    .compile();
  await graph.invoke({ run: "x" });
  expect(calls(bench).toSorted()).toEqual(["0 last 2 last", "0 left 1 left", "0 right 1 right"]);
});

test("so are those of the functional API", async () => {
  await using bench = await startBench();
  const { invoke, stream, lambda } = waysOf(bench);
  const state = { run: "x" };
  const research = task("research", async () => void (await invoke(state)));
  const write = task("write", async () => void (await stream(state)));
  const check = task("check", async () => void (await lambda(state)));
  const flow = entrypoint("flow", async () => {
    await research();
    await invoke(state);
    await write();
    await check();
    return "done";
  });
  await flow.invoke({});
  const agents = ["0 flow/research undefined flow|research", "0 flow 0 flow"];
  expect(calls(bench)).toEqual([
    ...agents,
    "0 flow/write undefined flow|write",
    "0 flow/check undefined flow|check",
  ]);
});

test.each(["createReactAgent", "createAgent"] as const)("so are those of %s", async (kind) => {
  await using bench = await startBench((_request, index) =>
    index < 2 ? { tool: { name: "noop", arguments: {}, id: `call-${index}` } } : { text: "done" },
  );
  const agent =
    kind === "createAgent"
      ? createAgent({ model: bench.model(), tools: [noop] })
      : createReactAgent({ llm: bench.model(), tools: [noop] });
  await agent.invoke({ messages: [{ role: "user", content: "x" }] });
  expect(bench.server.requests).toHaveLength(3);
  expect(only(bench.events, "run-start")).toHaveLength(1);
  expect(calls(bench).every((call) => call.startsWith("0 "))).toBe(true);
});

test("a graph that an agent's tool calls has agents of its own, an agent there its own name", async () => {
  const asked = { tool: { name: "ask", arguments: {} } };
  await using bench = await startBench((_request, index) => (index === 0 ? asked : { text: "done" }));
  const { invoke } = waysOf(bench);
  const writer = createAgent({ name: "writer", model: bench.model(), tools: [] });
  const nested = chain(invoke, async () => void (await writer.invoke({ messages: [] })));
  const asks = async () => JSON.stringify(await nested.invoke({ run: "x" }));
  const ask = tool(asks, { name: "ask", description: "Asks.", schema: z.object({}) });
  const lead = createAgent({ name: "lead", model: bench.model(), tools: [ask] });
  await lead.invoke({ messages: [{ role: "user", content: "go" }] });
  expect(calls(bench)).toEqual([
    "0 lead 1 model_request",
    "0 first 1 tools|first",
    "0 writer 1 tools|second|model_request",
    "0 lead 3 model_request",
  ]);
});

test("20 interleaved runs without threads are never mixed up", async () => {
  await using bench = await startBench((_request, index) => ({ text: "ok", afterMs: (index * 7) % 5 }));
  const { invoke, stream, bound, lambda, inTool, inner, nested } = waysOf(bench);
  const slow =
    (...asks: readonly Node[]): Node =>
    async (state) => {
      for (const ask of asks) {
        await wait((Number(state.run) * 3) % 7);
        await ask(state);
      }
    };
  const both: Node = (state) => Promise.all([invoke(state), stream(state), lambda(state)]);
  const graph = chain(slow(stream, lambda), inner, slow(bound, inTool, nested), both, slow(lambda));
  await Promise.all(Array.from({ length: 20 }, (_, index) => graph.invoke({ run: String(index) })));
  expect(bench.faults).toEqual([]);
  expect(bench.server.requests).toHaveLength(20 * 12);
  expect(only(bench.events, "run-start")).toHaveLength(20);
  const runOf = new Map<string, string>();
  const mismatches = bench.server.requests.filter(({ body }, index) => {
    const truth = String(body.messages?.[0]?.content);
    const run = seenBy(bench.server)[index]?.run ?? "";
    if (!runOf.has(truth)) runOf.set(truth, run);
    return runOf.get(truth) !== run;
  });
  expect(mismatches).toEqual([]);
  expect(new Set(runOf.values()).size).toBe(20);
  expect(bench.sage.handler.pending).toBe(0);
});

test("runs that share a signal, or a run control, are runs of their own", async () => {
  await using bench = await startBench();
  const { invoke, stream, lambda } = waysOf(bench);
  const graph = chain(invoke, stream, lambda);
  const shared = { signal: new AbortController().signal, control: new RunControl() };
  const state = { run: "x" };
  await Promise.all([graph.invoke(state, shared), graph.invoke(state, shared)]);
  expect(only(bench.events, "run-start")).toHaveLength(2);
  expect(calls(bench).filter((call) => call.startsWith("1 "))).toHaveLength(3);
});

test("a thread's next run ends the one before, and takes over from it", async () => {
  await using bench = await startBench();
  const { invoke, stream } = waysOf(bench);
  const graph = chain(stream, invoke);
  const thread = { configurable: { thread_id: "a" } };
  await graph.invoke({ run: "x" }, thread);
  expect(only(bench.events, "run-end")).toEqual([]);
  await graph.invoke({ run: "x" }, thread);
  const [first, second] = only(bench.events, "run-start");
  expect(second).toMatchObject({ session: "a" });
  expect(only(bench.events, "run-end")).toMatchObject([
    { run: first?.run, session: "a", status: "completed" },
  ]);
  expect(calls(bench)).toEqual([
    "0 first 1 first",
    "0 second 2 second",
    "1 first 1 first",
    "1 second 2 second",
  ]);
});

test("two invocations at once on one thread stay apart", async () => {
  await using bench = await startBench(() => ({ text: "ok", afterMs: 5 }));
  const { invoke, stream } = waysOf(bench);
  const graph = chain(stream, invoke, stream);
  const thread = { configurable: { thread_id: "a" } };
  await Promise.all([graph.invoke({ run: "x" }, thread), graph.invoke({ run: "x" }, thread)]);
  expect(only(bench.events, "run-start")).toHaveLength(2);
  expect(calls(bench).filter((call) => call.startsWith("1 "))).toHaveLength(3);
});

test("a resumed run is a run of its own", async () => {
  await using bench = await startBench();
  const { invoke } = waysOf(bench);
  const graph = new StateGraph(State)
    .addNode("clerk", async (state) => {
      await invoke(state);
      interrupt("really?");
      return {};
    })
    .addEdge(START, "clerk")
    .compile({ checkpointer: new MemorySaver() });
  const thread = { configurable: { thread_id: "a" } };
  await graph.invoke({ run: "x" }, thread);
  await graph.invoke(new Command({ resume: true }), thread);
  expect(calls(bench)).toEqual(["0 clerk 1 clerk", "1 clerk 1 clerk"]);
});

test("a streaming call in a RunnableLambda goes by its node and its thread, and is a run of its own without either", async () => {
  await using bench = await startBench();
  const { invoke, stream } = waysOf(bench);
  const hidden: Node = (state) => RunnableLambda.from(async () => stream(state)).invoke("");
  const both: Node = async (state) => (await invoke(state), await hidden(state));
  await chain(both, both).invoke({ run: "x" });
  expect(only(bench.events, "run-start")).toHaveLength(1);
  bench.events.length = 0;
  await chain(invoke, hidden, hidden).invoke({ run: "x" }, { configurable: { thread_id: "a" } });
  expect(only(bench.events, "run-start")).toHaveLength(1);
  bench.events.length = 0;
  await chain(hidden, invoke, hidden).invoke({ run: "x" });
  expect(only(bench.events, "run-start")).toHaveLength(3);
});

test("a run that LangGraph has let go of ends, and none that it still needs", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  await using bench = await startBench();
  const { invoke, stream } = waysOf(bench);
  const gone = signal<void>();
  const open = chain(invoke, () => gone.promise).invoke({ run: "open" });
  await bench.until("request-end");
  const [run] = only(bench.events, "run-start");
  for (let index = 0; index < 5; index++) await chain(invoke, stream).invoke({ run: "x" });
  await expect
    .poll(() => {
      collect();
      return only(bench.events, "run-end").length;
    })
    .toBeGreaterThanOrEqual(3);
  expect(only(bench.events, "run-end").map((end) => end.run)).not.toContain(run?.run);
  gone.resolve();
  await open;
});

test("the end of a run is not unseen where the graph is instrumented", async () => {
  await using bench = await startBench();
  await bench.sage.instrument(chain(waysOf(bench).invoke)).invoke({ run: "x" });
  expect(only(bench.events, "run-start")).toHaveLength(1);
  expect(only(bench.events, "run-start")[0]).not.toHaveProperty("endIsUnseen");
});
