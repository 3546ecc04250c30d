import { RunnableLambda, type RunnableConfig } from "@langchain/core/runnables";
import {
  Annotation,
  Command,
  END,
  entrypoint,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
  type LangGraphRunnableConfig,
} from "@langchain/langgraph";
import { createSupervisor } from "@langchain/langgraph-supervisor";
import { createSwarm } from "@langchain/langgraph-swarm";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, createMiddleware, type AgentMiddleware } from "langchain";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import type { Framework } from "../../src/langgraph/index.ts";

declare const sage: Framework;

const State = Annotation.Root({ topic: Annotation<string>, count: Annotation<number> });
type Values = typeof State.State;

const onState = async (state: Values, config: RunnableConfig) => ({
  topic: `${state.topic}${config.runName}`,
});

test("wrapNode returns the very type it is given", () => {
  expectTypeOf(sage.wrapNode(onState)).toEqualTypeOf(onState);
  expectTypeOf(sage.wrapNode(onState, { agent: "planner" })).toEqualTypeOf(onState);
  const lambda = RunnableLambda.from((text: string) => text.length);
  expectTypeOf(sage.wrapNode(lambda)).toEqualTypeOf(lambda);
  expectTypeOf(sage.wrapNode(3 as const)).toEqualTypeOf<3>();
});

test("a node written in place keeps the types of state and config", () => {
  new StateGraph(State)
    .addNode(
      "planner",
      sage.wrapNode((state, config) => {
        expectTypeOf(state).toEqualTypeOf<Values>();
        expectTypeOf(config).toExtend<LangGraphRunnableConfig>();
        return { count: state.count + 1 };
      }),
    )
    .addNode(
      "router",
      sage.wrapNode((state: Values) => new Command({ goto: state.count > 3 ? END : "planner" })),
      { ends: ["planner", END] },
    )
    .addNode({
      writer: sage.wrapNode((state: Values) => ({ topic: state.topic }), { agent: "writer" }),
    })
    .addEdge(START, "planner")
    .addConditionalEdges("planner", (state) => [new Send("writer", state)], ["writer"])
    .compile();
});

test("a wrapped node is held to the state like the bare one", () => {
  const graph = new StateGraph(State);
  // @ts-expect-error a node cannot be a number
  graph.addNode("bare", 3);
  // @ts-expect-error a node cannot be a number
  graph.addNode("wrapped", sage.wrapNode(3));
  graph.addNode(
    "reader",
    // @ts-expect-error the state has no such field
    sage.wrapNode((state) => ({ topic: state.missing })),
  );
  expectTypeOf(graph.addNode("bare", onState)).toEqualTypeOf(graph.addNode("bare", sage.wrapNode(onState)));
});

test("instrument returns the very type it is given", () => {
  const graph = new StateGraph(State)
    .addNode("planner", () => ({ count: 1 }))
    .addEdge(START, "planner")
    .compile();
  const observed = sage.instrument(graph);
  expectTypeOf(observed).toEqualTypeOf(graph);
  expectTypeOf(observed.invoke).parameters.toEqualTypeOf<Parameters<typeof graph.invoke>>();
  expectTypeOf<Awaited<ReturnType<typeof observed.invoke>>>().toEqualTypeOf<Values>();
  const model = new ChatOpenAI({ apiKey: "x" });
  const agent = createAgent({ model, tools: [], name: "alice" });
  expectTypeOf(sage.instrument(agent)).toEqualTypeOf(agent);
  const flow = entrypoint("flow", async (topic: string) => topic.length);
  expectTypeOf(sage.instrument(flow)).toEqualTypeOf(flow);
  expectTypeOf<Awaited<ReturnType<typeof flow.invoke>>>().toEqualTypeOf<number>();
  const supervisor = createSupervisor({ llm: model, agents: [] }).compile();
  expectTypeOf(sage.instrument(supervisor)).toEqualTypeOf(supervisor);
  const swarm = createSwarm({ agents: [], defaultActiveAgent: "alice" }).compile();
  expectTypeOf(sage.instrument(swarm)).toEqualTypeOf(swarm);
});

test("model spreads into ChatOpenAI, alone, with fields and around others", () => {
  expectTypeOf(new ChatOpenAI({ model: "m", ...sage.model() })).toEqualTypeOf<ChatOpenAI>();
  expectTypeOf(
    new ChatOpenAI(sage.model({ model: "m", temperature: 0, configuration: { timeout: 1 } })),
  ).toEqualTypeOf<ChatOpenAI>();
  expectTypeOf(sage.model({ temperature: 0 }).temperature).toEqualTypeOf<number>();
  expectTypeOf(sage.model().configuration.baseURL).toEqualTypeOf<string>();
});

test("handler and middleware fit where LangChain wants them", async () => {
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("n", () => ({}))
    .addEdge(START, "n")
    .compile();
  await graph.invoke({ messages: [] }, { callbacks: [sage.handler] });
  graph.withConfig({ callbacks: [sage.handler] });
  expectTypeOf(sage.middleware()).toExtend<AgentMiddleware>();
});

test("the middleware is one to createAgent and changes nothing about the agent's type", () => {
  const model = new ChatOpenAI({ apiKey: "x" });
  const counter = createMiddleware({ name: "counter", stateSchema: z.object({ count: z.number() }) });
  const without = createAgent({ model, tools: [], middleware: [counter] });
  const withIt = createAgent({ model, tools: [], middleware: [counter, sage.middleware()] });
  type State<T extends { invoke: (...parameters: never[]) => unknown }> = Awaited<ReturnType<T["invoke"]>>;
  expectTypeOf<State<typeof withIt>>().toEqualTypeOf<State<typeof without>>();
  expectTypeOf<State<typeof withIt>["count"]>().toEqualTypeOf<number>();
  expectTypeOf<Parameters<typeof withIt.invoke>>().toEqualTypeOf<Parameters<typeof without.invoke>>();
  const bare = createAgent({ model, tools: [], middleware: [] });
  const alone = createAgent({ model, tools: [], middleware: [sage.middleware()] });
  expectTypeOf<State<typeof alone>>().not.toBeAny();
  expectTypeOf<State<typeof alone>>().toEqualTypeOf<State<typeof bare>>();
});
