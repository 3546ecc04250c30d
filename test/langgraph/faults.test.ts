import { Command, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";
import { tool } from "langchain";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Host } from "../../src/langgraph/host.ts";
import { startBench } from "./bench.ts";

const rejections: unknown[] = [];
const note = (reason: unknown) => void rejections.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => void process.off("unhandledRejection", note));

const cycle: Record<string, unknown> = {};
cycle["self"] = cycle;

/** What a broken host may do when it is called. */
const faults: readonly (() => unknown)[] = [
  () => undefined,
  () => {
    throw new Error("broken");
  },
  () => {
    // A host is the user's code, and JavaScript lets it throw anything.
    // oxlint-disable-next-line no-throw-literal
    throw undefined;
  },
  () => 1n,
  () => cycle,
  () => ({ fields: cycle, headers: cycle }),
  () => ({ fields: { n: 1n }, headers: { "": "" } }),
  () => ({ fields: { huge: "x".repeat(100_000) } }),
  () => ({ fields: "fields", headers: 3 }),
  () => Promise.resolve({ fields: { late: true } }),
  () =>
    new Proxy(
      {},
      {
        get: () => {
          throw new Error("trap");
        },
      },
    ),
];

const noop = tool(() => "looked", { name: "look", description: "Looks.", schema: z.object({}) });

/** Runs an agent with a tool, a Command and an unseen call, and returns what the application sees. */
async function application(host?: Partial<Host>): Promise<unknown> {
  await using bench = await startBench(({ body }) => {
    const isFirst = body["tools"] !== undefined && body.messages?.at(-1)?.role === "user";
    return isFirst ? { tool: { name: "look", arguments: {} } } : { text: "done" };
  }, host ?? {});
  const isPlain = host === undefined;
  const model = isPlain ? bench.plainModel() : bench.model();
  const unseen = bench.plainModel(isPlain ? {} : { configuration: { fetch: bench.sage.fetch } });
  const summarize = async () => {
    const { content } = await unseen.invoke("sum up", { callbacks: [] });
    return new Command({ update: { messages: [{ role: "user", content: String(content) }] } });
  };
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("clerk", createReactAgent({ llm: model, tools: [noop] }))
    .addNode("summary", isPlain ? summarize : bench.sage.wrapNode(summarize), { ends: [] })
    .addEdge(START, "clerk")
    .addEdge("clerk", "summary")
    .compile();
  if (!isPlain) bench.sage.instrument(graph);
  const { messages } = await graph.invoke({ messages: [{ role: "user", content: "go" }] });
  return {
    pending: bench.sage.handler.pending,
    messages: messages.map(({ type, content }) => [type, content]),
  };
}

test("whatever the host does, the application gets the same result", async () => {
  const expected = await application();
  const fault = fc.integer({ min: 0, max: faults.length - 1 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      async (sequence, cacheHints) => {
        let calls = 0;
        const misbehave = () => faults[sequence[calls++ % sequence.length] as number]?.();
        const host = {
          cacheHints,
          emit: misbehave,
          decorate: misbehave,
          requestBody: misbehave,
          answer: misbehave,
          fault: misbehave,
          warn: misbehave,
          clock: { now: misbehave },
        } as unknown as Partial<Host>;
        expect(await application(host)).toEqual(expected);
      },
    ),
    { numRuns: 25, seed: 7 },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(rejections).toEqual([]);
}, 60_000);
