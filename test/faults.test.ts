import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import * as fc from "fast-check";
import { tool } from "langchain";
import { expect, test } from "vitest";
import { z } from "zod";
import { CacheSage, type CacheSageOptions, definePolicy, type EngineAdapter } from "../src/index.ts";
import { ScriptedServer } from "./langgraph/scripted-server.ts";

const rejections: unknown[] = [];
const note = (reason: unknown) => void rejections.push(reason);
process.on("unhandledRejection", note);

const cycle: Record<string, unknown> = {};
cycle["self"] = cycle;
const trapped = new Proxy(
  {},
  {
    get: () => {
      throw new Error("trap");
    },
  },
);
const prefix = { agent: "clerk", run: "1" };

const hang = () => new Promise<never>(() => {});

/** What a part that is not ours may do when it is called. */
const faults: readonly (() => unknown)[] = [
  () => undefined,
  () => {
    throw new Error("broken");
  },
  () => {
    // It is foreign code, and JavaScript lets it throw anything.
    // oxlint-disable-next-line no-throw-literal
    throw null;
  },
  () => Promise.reject(new Error("broken")),
  hang,
  () => null,
  () => Number.NaN,
  () => "text",
  () => cycle,
  () => trapped,
  () => [null, undefined, 7, {}, { type: "retain" }, { type: "prefetch", prefix: null }],
  () => [{ type: "prefetch", prefix, value: 1, probability: Number.NaN, tokens: -1, afterMs: Number.NaN }],
  () => [{ type: "retain", prefix: { agent: cycle }, value: 1, ttlMs: "soon" }],
  () => ({ fields: cycle, headers: { "": "" }, edit: 7 }),
  () => ({ fields: { huge: "x".repeat(100_000) }, headers: { "x-ok": "1" } }),
  () => ({ version: 1, epoch: null, counts: [["a", "b"]] }),
  () => ({ baseURL: "nowhere", settled: 7 }),
  () => [
    { type: "deny", call: { kind: "request", id: "nobody" } },
    { type: "hold", call: cycle, forMs: -1 },
  ],
  () => ({
    *[Symbol.iterator]() {
      for (;;) yield { type: "retain", prefix, value: 0.5 };
    },
  }),
];

const look = tool(() => "looked", { name: "look", description: "Looks.", schema: z.object({}) });

/** An agent with a tool and an unseen call; what the application gets, and what it asked for. */
async function application(options?: (server: ScriptedServer) => CacheSageOptions): Promise<unknown> {
  await using server = await ScriptedServer.start(({ body }) => {
    const isFirst = body["tools"] !== undefined && body.messages?.at(-1)?.role === "user";
    return isFirst ? { tool: { name: "look", arguments: {} } } : { text: "done" };
  });
  const sage = options && (await CacheSage.connect(options(server)));
  const own = { apiKey: "local", configuration: { baseURL: server.url } };
  const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...(sage?.model() ?? own) });
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("clerk", createReactAgent({ llm: model, tools: [look] }))
    .addNode("summary", async () => ({ messages: [await model.invoke("sum up", { callbacks: [] })] }))
    .addEdge(START, "clerk")
    .addEdge("clerk", "summary")
    .compile();
  sage?.instrument(graph);
  const { messages } = await graph.invoke({ messages: [{ role: "user", content: "go" }] });
  await sage?.close();
  return {
    messages: messages.map(({ type, content }) => [type, content]),
    asked: server.requests.map(({ body }) => body.messages),
  };
}

/** Everything that an application may hand to `connect`, each doing what `misbehave` does. */
function broken(server: ScriptedServer, next: () => () => unknown, cacheHints: boolean): CacheSageOptions {
  const misbehave = () => next()() as never;
  // Connecting and closing wait for a store, for a while: what hangs there has a test of its own.
  const misbehaveSoon = async () => {
    const fault = next();
    return fault === hang ? undefined : (fault() as never);
  };
  const engine: EngineAdapter = {
    specificationVersion: "v1",
    name: "broken",
    baseURL: server.url,
    apiKey: "local",
    supports: { retain: "native", release: "native", prefetch: "native", evict: "native" },
    connect: async () => ({ engine: "broken", models: ["scripted"] }),
    decorate: misbehave,
    observe: misbehave,
    answered: misbehave,
    route: misbehave,
    tokenize: misbehave,
    apply: misbehave,
    events: misbehave,
    close: async () => {},
  };
  const policy = definePolicy({
    name: "broken",
    description: "Does what it likes.",
    subject: ["prefix", "request", "tool-call", "transition"],
    actions: ["retain", "release", "prefetch", "cancel", "evict", "hold", "route", "reuse", "deny"],
    options: z.strictObject({}),
    create: () => ({
      observe: misbehave,
      predict: misbehave,
      score: misbehave,
      act: misbehave,
      decided: misbehave,
      ended: misbehave,
      close: misbehave,
    }),
  });
  return {
    engine,
    cacheHints,
    policies: { broken: policy },
    store: {
      name: "broken",
      namespace: { tenant: "t", workload: "w" },
      add: misbehaveSoon,
      load: misbehaveSoon,
      reset: misbehaveSoon,
      lease: misbehave,
      close: async () => {},
    },
    telemetry: [
      {
        name: "broken",
        attach: () => ({
          event: misbehave,
          decision: misbehave,
          outcome: misbehave,
          decided: misbehave,
          fault: misbehave,
          close: misbehave,
        }),
      },
    ],
    onEvent: misbehave,
    onCacheEvent: misbehave,
    onFault: misbehave,
    warn: misbehave,
  };
}

test("whatever policy, adapter, store, telemetry and callbacks do, the application gets the same", async () => {
  const expected = await application();
  const fault = fc.integer({ min: 0, max: faults.length - 1 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      async (sequence, cacheHints) => {
        let calls = 0;
        const next = () => faults[sequence[calls++ % sequence.length] as number] ?? hang;
        expect(await application((server) => broken(server, next, cacheHints))).toEqual(expected);
      },
    ),
    { numRuns: 30, seed: 11 },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(rejections).toEqual([]);
}, 120_000);
