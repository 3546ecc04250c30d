import { InMemoryCache } from "@langchain/core/caches";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { OpenAI, type ChatOpenAI } from "@langchain/openai";
import { tool } from "langchain";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { lines, only, seenBy, session, startBench, type Bench } from "./bench.ts";
import { drain } from "./drain.ts";

const State = MessagesAnnotation;

/** Runs a graph with one node that does `work`, and returns the lines of that node's requests. */
async function inNode(bench: Bench, work: () => Promise<unknown>): Promise<readonly string[]> {
  const graph = bench.sage.instrument(
    new StateGraph(State)
      .addNode("worker", async () => {
        await work();
        return {};
      })
      .addEdge(START, "worker")
      .compile(),
  );
  await graph.invoke({ messages: [] }, session);
  expect(bench.faults).toEqual([]);
  expect(bench.sage.handler.pending).toBe(0);
  const [run] = only(bench.events, "run-start");
  for (const identity of seenBy(bench.server))
    expect(identity).toEqual({
      agent: "worker",
      run: run?.run,
      session: "thread",
      namespace: "worker",
      step: 1,
    });
  return lines(bench.events).filter((line) => line.startsWith("worker: "));
}

const noop = tool(() => "x", { name: "noop", description: "Does nothing.", schema: z.object({}) });
const Answer = z.object({ answer: z.string() });

/** Ways to call a chat model, with the number of requests and whether they stream. */
const ways: Readonly<
  Record<
    string,
    { readonly call: (model: ChatOpenAI) => Promise<unknown>; requests?: number; streams?: true }
  >
> = {
  invoke: { call: (model) => model.invoke("hi") },
  stream: { call: async (model) => drain(await model.stream("hi")), streams: true },
  "bindTools and invoke": { call: (model) => model.bindTools([noop]).invoke("hi") },
  "bindTools and stream": {
    call: async (model) => drain(await model.bindTools([noop]).stream("hi")),
    streams: true,
  },
  "structured output": {
    call: (model) => model.withStructuredOutput(Answer, { method: "jsonSchema" }).invoke("hi"),
  },
  batch: { call: (model) => model.batch(["a", "b", "c"]), requests: 3 },
  "several at once": { call: (model) => Promise.all([1, 2, 3].map(() => model.invoke("hi"))), requests: 3 },
  "generate with several prompts": {
    call: (model) => model.generate([[new HumanMessage("a")], [new HumanMessage("b")]]),
    requests: 2,
  },
};

describe.each([false, true])("with useResponsesApi %s", (useResponsesApi) => {
  test.each(Object.entries(ways))("%s is seen with its node's identity", async (_name, way) => {
    await using bench = await startBench(() => ({ text: '{"answer":"yes"}' }));
    const log = await inNode(bench, () => way.call(bench.model({ useResponsesApi })));
    const requests = way.requests ?? 1;
    expect(bench.server.requests).toHaveLength(requests);
    expect(log.filter((line) => line === "worker: request")).toHaveLength(requests);
    expect(log.filter((line) => line === "worker: completed")).toHaveLength(requests);
    expect(log.includes("worker: token")).toBe(way.streams === true);
    expect(bench.bodies).toHaveLength(requests);
    expect(bench.answers.map(({ text }) => text)).toEqual(Array(requests).fill('{"answer":"yes"}'));
  });

  test.each([
    [undefined, undefined],
    [0, 0],
    [7, 7],
  ])("cached tokens %s are reported as %s, streaming or not", async (cached, expected) => {
    await using bench = await startBench(() => ({ text: "ok", ...(cached !== undefined && { cached }) }));
    const model = bench.model({ useResponsesApi });
    await inNode(bench, async () => {
      await model.invoke("hi");
      await drain(await model.stream("hi"));
    });
    const usage = {
      promptTokens: 10,
      outputTokens: 3,
      ...(expected !== undefined && { cachedTokens: expected }),
    };
    expect(only(bench.events, "request-end").map((event) => event.usage)).toEqual([usage, usage]);
  });

  test("calls that no callback sees are told by fetch, streaming or not", async () => {
    await using bench = await startBench(() => ({ text: "ok", cached: 0 }));
    const model = bench.plainModel({ useResponsesApi, configuration: { fetch: bench.sage.fetch } });
    const log = await inNode(bench, async () => {
      await model.invoke("hi", { callbacks: [] });
      await drain(await model.stream("hi", { callbacks: [] }));
    });
    expect(log).toEqual([
      "worker: request",
      "worker: completed",
      "worker: request",
      "worker: token",
      "worker: completed",
    ]);
    const usage = { promptTokens: 10, outputTokens: 3, cachedTokens: 0 };
    expect(only(bench.events, "request-end").map((event) => event.usage)).toEqual([usage, usage]);
  });
});

test("a call with callbacks and one without, in turn, are told once each", async () => {
  await using bench = await startBench();
  const model = bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const log = await inNode(bench, async () => {
    await model.invoke("seen");
    await model.invoke("unseen", { callbacks: [] });
    await drain(await model.stream("seen"));
    await model.invoke("unseen", { callbacks: [] });
  });
  expect(log.filter((line) => line === "worker: request")).toHaveLength(4);
  expect(log.filter((line) => line === "worker: completed")).toHaveLength(4);
  expect(bench.bodies).toHaveLength(4);
});

test("calls that LangChain's cache of answers does not know are told once each, with their node's identity", async () => {
  await using bench = await startBench((_request, index) => (index === 0 ? { status: 503 } : { text: "ok" }));
  const model = bench.model({ cache: new InMemoryCache(new Map()), maxRetries: 1 });
  const log = await inNode(bench, async () => {
    await model.invoke("again");
    await Promise.all(["a", "b", "b"].map((prompt) => model.invoke(prompt)));
    await model.invoke("a");
  });
  expect(bench.server.requests).toHaveLength(5);
  expect(log.filter((line) => line === "worker: request")).toHaveLength(5);
  expect(log.filter((line) => line === "worker: completed")).toHaveLength(5);
  expect(bench.bodies).toHaveLength(4);
});

test("so they are with the model alone", async () => {
  await using bench = await startBench();
  const model = bench.model({ cache: new InMemoryCache(new Map()) });
  const graph = new StateGraph(State)
    .addNode("worker", async () => ({ messages: [await model.invoke("hi")] }))
    .addEdge(START, "worker")
    .compile();
  await Promise.all([graph.invoke({ messages: [] }), graph.invoke({ messages: [] })]);
  const runs = only(bench.events, "request-start").map(({ run }) => run);
  expect(seenBy(bench.server)).toMatchObject(runs.map((run) => ({ agent: "worker", run })));
  expect(new Set(runs).size).toBe(2);
});

test("completion models are seen, with and without callbacks", async () => {
  await using bench = await startBench();
  const { configuration, callbacks } = bench.sage.model();
  const seen = new OpenAI({
    model: "gpt-3.5-turbo-instruct",
    apiKey: "local",
    maxRetries: 0,
    configuration,
    callbacks,
  });
  const unseen = new OpenAI({
    model: "gpt-3.5-turbo-instruct",
    apiKey: "local",
    maxRetries: 0,
    configuration,
  });
  const log = await inNode(bench, async () => {
    await seen.invoke("hi");
    await unseen.invoke("hi", { callbacks: [] });
  });
  expect(log).toEqual(["worker: request", "worker: completed", "worker: request", "worker: completed"]);
  const [first, second] = only(bench.events, "request-start");
  expect(first?.prompt.history).toEqual(second?.prompt.history);
});

test.each([true, false])("a client's retries are one request, seen by callbacks: %s", async (isSeen) => {
  await using bench = await startBench((_request, index) => (index < 1 ? { status: 429 } : { text: "ok" }));
  const model = bench.plainModel({ maxRetries: 1, configuration: { fetch: bench.sage.fetch } });
  const log = await inNode(bench, () => model.invoke("hi", isSeen ? {} : { callbacks: [] }));
  expect(bench.server.requests).toHaveLength(2);
  expect(log).toEqual(["worker: request", "worker: completed"]);
  expect(bench.bodies).toHaveLength(1);
});

test("an unseen request that failed and is not tried again fails with its node", async () => {
  await using bench = await startBench(() => ({ status: 500 }));
  const model = bench.plainModel({ configuration: { fetch: bench.sage.fetch } });
  const log = await inNode(bench, () => model.invoke("hi", { callbacks: [] }).catch(() => {}));
  expect(log).toEqual(["worker: request", "worker: failed"]);
});

test("a call that asks for tools gives no answer to compose a prompt from", async () => {
  await using bench = await startBench(() => ({ tool: { name: "noop", arguments: {} } }));
  await inNode(bench, () => bench.model().bindTools([noop]).invoke("hi"));
  expect(bench.answers).toEqual([]);
});

test("handler and wire agree on the shape of a prompt", async () => {
  await using bench = await startBench();
  const model = bench.plainModel({ configuration: { fetch: bench.sage.fetch } }).bindTools([noop]);
  const prompt = [new SystemMessage("be brief"), new HumanMessage("hi")];
  await inNode(bench, async () => {
    await model.invoke(prompt);
    await model.invoke(prompt, { callbacks: [] });
  });
  const [seen, unseen] = only(bench.events, "request-start").map((event) => event.prompt);
  expect(seen?.anchor.length).toBeGreaterThan("be brief".length);
  expect(seen?.history).toHaveLength(1);
  expect(unseen).toEqual(seen);
});

test("a model outside of any graph is let be, byte for byte", async () => {
  await using bench = await startBench();
  await bench.model().invoke("hi");
  expect(bench.events).toEqual([]);
  expect(bench.server.requests[0]?.body).not.toHaveProperty("seen_by");
});
