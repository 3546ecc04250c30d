import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import batchShaping from "../../src/policies/batch-shaping.ts";
import { GateSimulation } from "./gate-simulation.ts";
import { scriptedSage } from "./scripted-sage.ts";

const prefill = () => ({ firstTokenMs: 100, totalMs: 300 });
const anchored = { anchor: "a", anchorTokens: 1000 };

test("of a burst at a cold anchor one goes, and the others follow its first token", () => {
  const simulation = new GateSimulation([[batchShaping, {}]], prefill);
  for (let i = 0; i < 16; i++) simulation.call(`${i}`, i, anchored);
  simulation.call("other", 3, { anchor: "b", anchorTokens: 1000 });
  simulation.call("small", 4, { anchor: "c", anchorTokens: 10 });
  simulation.play(1000);
  const admitted = [...simulation.served.values()].map(({ call, admittedAt }) => [call.id, admittedAt]);
  expect(admitted.slice(0, 3)).toEqual([
    ["0", 0],
    ["other", 3],
    ["small", 4],
  ]);
  expect(admitted.slice(3).map(([, at]) => at)).toEqual(Array(15).fill(100));
});

test("nobody waits longer than the bound for a call that hangs", () => {
  const simulation = new GateSimulation([[batchShaping, { maxHoldMs: 200 }]], () => ({
    firstTokenMs: 1e9,
    totalMs: 1e9,
  }));
  for (let i = 0; i < 4; i++) simulation.call(`${i}`, i, anchored);
  simulation.play(1000);
  const waits = [...simulation.served.values()].map(({ call, admittedAt }) => admittedAt - call.at);
  expect(waits).toEqual([0, 200, 200, 200]);
});

test("a warm anchor holds nobody; one that the engine has dropped is computed by one again", () => {
  let cachedTokens = 1000;
  const usage = () => ({ promptTokens: 1100, cachedTokens });
  const simulation = new GateSimulation([[batchShaping, {}]], prefill, usage);
  simulation.call("0", 0, anchored);
  simulation.call("1", 1000, anchored);
  simulation.call("2", 1000, anchored);
  simulation.play(1200);
  expect(simulation.served.get("2")?.admittedAt).toBe(1000);
  cachedTokens = 0;
  simulation.call("3", 2000, anchored);
  simulation.call("4", 3000, anchored);
  simulation.call("5", 3000, anchored);
  simulation.play(5000);
  expect(simulation.served.get("5")?.admittedAt).toBe(3100);
});

test("in a real graph, four runs at once send one request, and the rest when it has answered", async () => {
  const at: number[] = [];
  await using scripted = await scriptedSage({ "batch-shaping": { maxHoldMs: 5000 } }, () => {
    at.push(performance.now());
    return { text: "ok", afterMs: 100 };
  });
  const model = scripted.model();
  const system = { role: "system" as const, content: "You are a planner. ".repeat(60) };
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("planner", async ({ messages }) => ({ messages: [await model.invoke([system, ...messages])] }))
      .addEdge(START, "planner")
      .compile(),
  );
  const ask = (content: string) => graph.invoke({ messages: [{ role: "user", content }] });
  await Promise.all(["a", "b", "c", "d"].map(ask));
  const [first = 0, ...others] = at;
  expect(others).toHaveLength(3);
  expect(Math.min(...others) - first).toBeGreaterThanOrEqual(95);
  expect(scripted.verdicts()).toEqual(Array(3).fill("batch-shaping: hold planner"));
  await Promise.all(["e", "f"].map(ask));
  expect((at[5] ?? 0) - (at[4] ?? 0)).toBeLessThan(90);
});
