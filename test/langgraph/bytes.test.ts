import { HumanMessage } from "@langchain/core/messages";
import { entrypoint, MessagesAnnotation, START, StateGraph, task } from "@langchain/langgraph";
import { createSupervisor } from "@langchain/langgraph-supervisor";
import { createHandoffTool, createSwarm } from "@langchain/langgraph-swarm";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import type { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { only, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";
import type { Script } from "./scripted-server.ts";

const input = { messages: [{ role: "user" as const, content: "x" }] };
const noop = tool(() => "x", { name: "noop", description: "Does nothing.", schema: z.object({}) });
const Answer = z.object({ answer: z.string() });

type CallOptions = Parameters<ChatOpenAI["invoke"]>[1];

function oneNode(model: ChatOpenAI, options?: CallOptions) {
  return new StateGraph(MessagesAnnotation)
    .addNode("worker", async ({ messages }) => ({ messages: [await model.invoke(messages, options)] }))
    .addEdge(START, "worker")
    .compile();
}

function workerOf(work: () => Promise<unknown>) {
  const worker = async () => {
    await work();
    return {};
  };
  return new StateGraph(MessagesAnnotation).addNode("worker", worker).addEdge(START, "worker").compile();
}

/** A way to play one application: with a bench it is observed, without one it is as it would be without cachesage. */
interface Application {
  readonly play: (model: ChatOpenAI, bench?: Bench) => Promise<unknown>;
  /** Name of the tool that the model calls in its first answer. */
  readonly callsFirst?: string;
  /** Requests that one play sends; default 1. */
  readonly requests?: number;
}

const instrumented = <T>(graph: T, bench: Bench | undefined): T => bench?.sage.instrument(graph) ?? graph;

const applications: Readonly<Record<string, Application>> = {
  instrument: { play: (model, bench) => instrumented(oneNode(model), bench).invoke(input) },
  wrapNode: {
    play: (model, bench) => {
      const node = async () => ({ messages: [await model.invoke("hi")] });
      const wrapped = bench?.sage.wrapNode(node, { agent: "planner" }) ?? node;
      const graph = new StateGraph(MessagesAnnotation).addNode("n", wrapped).addEdge(START, "n").compile();
      return graph.invoke(input);
    },
  },
  middleware: {
    play: (model, bench) => {
      const middleware = bench ? [bench.sage.middleware()] : [];
      return createAgent({ model, tools: [noop], middleware }).invoke(input);
    },
    callsFirst: "noop",
    requests: 2,
  },
  "handler in config": {
    play: (model, bench) =>
      createReactAgent({ llm: model, tools: [noop] }).invoke(input, {
        ...(bench && { callbacks: [bench.sage.handler] }),
      }),
    callsFirst: "noop",
    requests: 2,
  },
  "no callbacks at the call": {
    play: (model, bench) => instrumented(oneNode(model, { callbacks: [] }), bench).invoke(input),
  },
  "stream mode messages": {
    play: async (model, bench) =>
      drain(await instrumented(oneNode(model), bench).stream(input, { streamMode: "messages" })),
  },
  "streamEvents v2": {
    play: (model, bench) => drain(instrumented(oneNode(model), bench).streamEvents(input, { version: "v2" })),
  },
  "streamEvents v3": {
    play: async (model, bench) =>
      drain(await instrumented(oneNode(model), bench).streamEvents(input, { version: "v3" })),
  },
  batch: {
    play: (model, bench) =>
      instrumented(
        workerOf(() => model.batch(["a", "b"], { maxConcurrency: 1 })),
        bench,
      ).invoke(input),
    requests: 2,
  },
  "generate with one prompt": {
    play: (model, bench) =>
      instrumented(
        workerOf(() => model.generate([[new HumanMessage("a")]])),
        bench,
      ).invoke(input),
  },
  "structured output": {
    play: (model, bench) =>
      instrumented(
        workerOf(() => model.withStructuredOutput(Answer, { method: "jsonSchema" }).invoke("hi")),
        bench,
      ).invoke(input),
  },
  "a subgraph": {
    play: (model, bench) => {
      const graph = new StateGraph(MessagesAnnotation)
        .addNode("team", oneNode(model))
        .addEdge(START, "team")
        .compile();
      return instrumented(graph, bench).invoke(input);
    },
  },
  "the functional API": {
    play: (model, bench) => {
      const research = task("research", async (topic: string) => (await model.invoke(topic)).content);
      const flow = entrypoint("flow", async (topic: string) => String(await research(topic)));
      return instrumented(flow, bench).invoke("x");
    },
  },
  "a supervisor": {
    play: (llm, bench) => {
      const agents = [createReactAgent({ llm, tools: [noop], name: "clerk" })];
      const graph = createSupervisor({ llm, agents, addHandoffBackMessages: false }).compile();
      return instrumented(graph, bench).invoke(input);
    },
    callsFirst: "transfer_to_clerk",
    requests: 3,
  },
  "a swarm": {
    play: (llm, bench) => {
      const agents = [
        createReactAgent({ llm, tools: [createHandoffTool({ agentName: "bob" })], name: "alice" }),
        createReactAgent({ llm, tools: [noop], name: "bob" }),
      ];
      const graph = createSwarm({ agents, defaultActiveAgent: "alice" }).compile();
      return instrumented(graph, bench).invoke(input);
    },
    callsFirst: "transfer_to_bob",
    requests: 2,
  },
};

describe.each([false, true])("with cacheHints off and useResponsesApi %s", (useResponsesApi) => {
  test.each(Object.entries(applications))(
    "%s sends the same bytes as without cachesage",
    async (_name, { play, callsFirst, requests = 1 }) => {
      const script: Script = (_request, index) =>
        callsFirst !== undefined && index % requests === 0
          ? { tool: { name: callsFirst, arguments: {} } }
          : { text: '{"answer":"yes"}' };
      await using bench = await startBench(script, { cacheHints: false });
      await play(bench.plainModel({ useResponsesApi }));
      await play(bench.model({ useResponsesApi }), bench);
      const sent = bench.server.requests.map(({ path, raw, headers }) => ({ path, raw, headers }));
      expect(sent).toHaveLength(2 * requests);
      expect(sent.slice(requests)).toEqual(sent.slice(0, requests));
      expect(only(bench.events, "request-start")).toHaveLength(requests);
      expect([bench.bodies, bench.answers, bench.faults]).toEqual([[], [], []]);
    },
  );
});
