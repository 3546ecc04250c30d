import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import { ActionDeniedError } from "../../src/index.ts";
import admission from "../../src/policies/admission.ts";
import { GateSimulation, type ServiceTime } from "./gate-simulation.ts";
import { scriptedSage } from "./scripted-sage.ts";

/** An engine that serves eight calls at once as fast as one, and gets slower in proportion with more. */
const eightAtOnce: ServiceTime = (_call, busy) => {
  const slower = Math.max(1, busy / 8);
  return { firstTokenMs: 40 * slower, totalMs: 200 * slower };
};

test("goes up to what the engine serves well and no further", () => {
  const simulation = new GateSimulation([[admission, { initial: 2 }]], eightAtOnce);
  for (let i = 0; i < 600; i++) simulation.call(`${i}`, i * 15);
  simulation.play(9000);
  const { limit } = stateOf(simulation);
  expect(limit).toBeGreaterThan(7);
  expect(limit).toBeLessThan(20);
});

/** Times to the first token of calls of high priority, at twice the engine's capacity; the 95th percentile. */
function highPriorityMs(policies: ConstructorParameters<typeof GateSimulation>[0]): number {
  const simulation = new GateSimulation(policies, eightAtOnce);
  for (let i = 0; i < 640; i++) simulation.call(`${i}`, i * 12.5, { priority: i % 10 === 0 ? 1 : 0.2 });
  simulation.play(20_000);
  const high = [...simulation.served.values()].filter(({ call }) => call.priority === 1 && call.at > 2000);
  const times = high.map(({ call, firstTokenAt }) => firstTokenAt - call.at).toSorted((a, b) => a - b);
  return times[Math.floor(times.length * 0.95)] ?? Number.NaN;
}

test("at twice the capacity, calls of high priority take little longer than on an idle engine", () => {
  const [withIt, without] = [highPriorityMs([[admission, { tolerance: 1.25 }]]), highPriorityMs([])];
  expect(withIt).toBeLessThan(2.5 * 40);
  expect(without).toBeGreaterThan(5 * 40);
});

test("a call whose deadline has passed is denied, and what exceeds the queue is, least priority first", () => {
  const simulation = new GateSimulation([[admission, { initial: 2, min: 2, max: 2, maxWaiting: 1 }]], () => ({
    firstTokenMs: 100,
    totalMs: 500,
  }));
  simulation.call("1", 0);
  simulation.call("2", 0);
  simulation.call("late", 1, { deadline: 100 });
  simulation.call("low", 200, { priority: 0.1 });
  simulation.call("high", 201, { priority: 0.9 });
  simulation.play(2000);
  const verdicts = Object.fromEntries(
    [...simulation.served.values()].map(({ call, verdict }) => [call.id, verdict]),
  );
  expect(verdicts).toEqual({ "1": "admit", "2": "admit", late: "deny", low: "deny", high: "admit" });
});

test("in a real graph, a call that comes too late is denied and the graph sees why", async () => {
  await using scripted = await scriptedSage({ admission: { initial: 1, min: 1, max: 1 } }, () => ({
    text: "ok",
    afterMs: 60,
  }));
  const model = scripted.model();
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("worker", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
      .addEdge(START, "worker")
      .compile(),
  );
  const ask = (deadline_ms: number) =>
    graph.invoke({ messages: [{ role: "user", content: "x" }] }, { configurable: { deadline_ms } });
  const [first, second] = await Promise.allSettled([ask(5000), ask(20)]);
  expect(first.status).toBe("fulfilled");
  const { reason } = second as PromiseRejectedResult;
  expect(ActionDeniedError.isInstance(reason)).toBe(true);
  expect(reason).toMatchObject({ policy: "admission", reason: "its deadline has passed" });
  expect(scripted.server.requests).toHaveLength(1);
});

function stateOf(simulation: GateSimulation): { readonly limit: number } {
  return simulation.snapshot(0) as { readonly limit: number };
}
