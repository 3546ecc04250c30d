import { readdir, readFile } from "node:fs/promises";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { lines, startBench } from "./bench.ts";

const sources = new URL("../../src/langgraph/", import.meta.url);

test("nothing of LangChain is loaded: its packages may be absent, or present twice", async () => {
  const files = (await readdir(sources)).filter((name) => name.endsWith(".ts"));
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, sources), "utf8")));
  const imported = texts.flatMap((text) => [...text.matchAll(/^import (?!type ).*? from "([^"]+)"/gms)]);
  const packages = imported.map(([, from]) => from ?? "").filter((from) => !/^(\.|node:)/.test(from));
  expect(new Set(packages)).toEqual(new Set(["eventsource-parser", "lru-cache"]));
});

test("a callback that comes twice counts once", async () => {
  await using bench = await startBench();
  const { handler } = bench.sage;
  const node = { langgraph_checkpoint_ns: "planner:1", langgraph_step: 1 };
  for (let times = 0; times < 2; times++) {
    handler.handleChainStart({}, {}, "run", undefined, [], {}, undefined, "graph");
    handler.handleChainStart({}, {}, "node", "run", ["graph:step:1"], node, undefined, "planner");
    handler.handleChatModelStart({}, [[]], "call", "node", {}, [], node);
    expect(handler.pending).toBe(3);
  }
  for (const id of ["call", "call"]) handler.handleLLMEnd({}, id);
  for (const id of ["node", "node", "run", "run"]) handler.handleChainEnd({}, id);
  expect(lines(bench.events)).toEqual([
    "run-start",
    "+planner",
    "planner: request",
    "planner: completed",
    "-planner completed",
    "run-end completed",
  ]);
  expect(handler.pending).toBe(0);
});

test("no arguments make the handler throw", async () => {
  await using bench = await startBench();
  const { handler } = bench.sage;
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(handler)).filter((name) =>
    name.startsWith("handle"),
  );
  expect(methods.length).toBeGreaterThan(12);
  const id = fc.constantFrom("a", "b", "c", undefined);
  const call = fc.tuple(
    fc.constantFrom(...methods),
    fc.tuple(
      fc.anything(),
      fc.anything(),
      id,
      id,
      fc.anything(),
      fc.anything(),
      fc.anything(),
      fc.anything(),
    ),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
      for (const [method, given] of calls) {
        const handle = handler[method as keyof typeof handler] as unknown as (...values: unknown[]) => void;
        expect(handle.apply(handler, given)).toBeUndefined();
      }
    }),
    { numRuns: 300, seed: 3 },
  );
});
