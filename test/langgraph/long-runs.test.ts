import { AsyncResource } from "node:async_hooks";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import type { Fetch } from "../../src/langgraph/index.ts";
import { addOpen, type Open, type Run } from "../../src/langgraph/run.ts";
import { only, startBench, type Bench } from "./bench.ts";

const input = { messages: [] };

/** A graph of one node that makes calls with `fetch` alone, and what becomes of them. */
function caller(
  { sage, server }: Bench,
  base: Fetch,
  node: (call: (text: string) => Promise<Response>) => unknown,
) {
  const { fetch } = sage.model({ configuration: { fetch: base } }).configuration;
  const call = (text: string) => {
    const body = JSON.stringify({ messages: [{ role: "user", content: text }] });
    return fetch(`${server.url}/chat/completions`, { method: "POST", body });
  };
  return sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("n", async () => {
        await node(call);
        return {};
      })
      .addEdge(START, "n")
      .compile(),
  );
}

test("of runs whose end is never told those that began first are over when there are very many", async () => {
  await using bench = await startBench();
  const { handler } = bench.sage;
  // Each in an async context of its own, as calls of an application are.
  const begin = (run: number) =>
    new AsyncResource("run").runInAsyncScope(() => {
      handler.handleChainStart({ id: ["langgraph", "pregel"] }, {}, `${run}`, undefined, [], {}, "", "graph");
      handler.handleChatModelStart({}, [[]], `call ${run}`, `${run}`);
    });
  for (let run = 0; run < 10_000; run++) begin(run);
  expect(only(bench.events, "run-end")).toEqual([]);
  begin(10_000);
  expect(only(bench.events, "run-end")).toMatchObject([{ run: "0", status: "cancelled" }]);
  const told = bench.events.length;
  handler.handleChatModelStart({}, [[]], "late", "0");
  handler.handleChainEnd({}, "0");
  expect(bench.events).toHaveLength(told);
});

test("of what is open in a run that never ends the oldest is given up that nothing else is known by", () => {
  const open = new Set<Open>();
  const run = { open } as unknown as Run;
  const ended: string[] = [];
  const add = (name: string, mayBeLost: boolean) => {
    const one: Open = {
      mayBeLost,
      end: (status) => {
        open.delete(one);
        ended.push(`${name} ${status}`);
      },
    };
    addOpen(run, one);
  };
  add("graph", false);
  add("node", false);
  for (let i = 0; i < 9_998; i++) add(`call ${i}`, true);
  expect(ended).toEqual([]);
  add("another node", false);
  add("another call", true);
  expect(ended).toEqual(["call 0 cancelled", "call 1 cancelled"]);
});

test("of very many calls of a node that fail the newest may be tried again", async () => {
  await using bench = await startBench();
  let before: unknown[] = [];
  const graph = caller(
    bench,
    async () => new Response("{}", { status: 500 }),
    async (call) => {
      for (let i = 0; i < 65; i++) await call(`${i}`);
      before = only(bench.events, "request-end");
      await call("64");
    },
  );
  await graph.invoke(input);
  expect(before).toMatchObject([
    { request: only(bench.events, "request-start")[0]?.request, status: "failed" },
  ]);
  expect(only(bench.events, "request-start")).toHaveLength(65);
});

test("the prompt of a call that outlives its run is not kept", async () => {
  await using bench = await startBench();
  let late: (() => Promise<Response>) | undefined;
  const graph = caller(
    bench,
    async () => Response.json({}),
    async (call) => {
      await (await call("in time")).text();
      late = AsyncResource.bind(() => call("too late"));
    },
  );
  await graph.invoke(input);
  await (await late?.())?.text();
  expect(bench.bodies.map(({ body }) => body)).toEqual([
    JSON.stringify({ messages: [{ role: "user", content: "in time" }] }),
  ]);
});
