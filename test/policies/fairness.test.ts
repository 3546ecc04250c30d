import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { expect, test } from "vitest";
import fairness from "../../src/policies/fairness.ts";
import { eightAtOnce, GateSimulation } from "./gate-simulation.ts";
import { signal } from "../langgraph/signal.ts";
import { scriptedSage } from "./scripted-sage.ts";

const steady = () => ({ firstTokenMs: 50, totalMs: 100 });

/** Tokens served by tenant until a time. */
function servedBy(simulation: GateSimulation): Record<string, number> {
  const served: Record<string, number> = {};
  for (const { call } of simulation.served.values())
    served[call.tenant ?? ""] = (served[call.tenant ?? ""] ?? 0) + call.tokens;
  return served;
}

test("equal tenants are served equally, though one of them asks for ten times as much", () => {
  const simulation = new GateSimulation([[fairness, { concurrency: 4 }]], steady);
  for (let i = 0; i < 2000; i++)
    simulation.call(`greedy ${i}`, i, { tenant: "greedy", tokens: 100 + (i % 7) * 50 });
  for (const tenant of ["one", "two"])
    for (let i = 0; i < 100; i++) simulation.call(`${tenant} ${i}`, i * 10, { tenant, tokens: 400 });
  simulation.play(2000);
  const served = Object.values(servedBy(simulation));
  expect(served).toHaveLength(3);
  expect(Math.max(...served) / Math.min(...served)).toBeLessThan(1.2);
});

test("by default the limit is learned: equal service, and a lone tenant does not wait", () => {
  const shared = new GateSimulation([[fairness, {}]], eightAtOnce);
  for (let i = 0; i < 2000; i++) shared.call(`greedy ${i}`, i, { tenant: "greedy" });
  for (const tenant of ["one", "two"])
    for (let i = 0; i < 200; i++) shared.call(`${tenant} ${i}`, i * 10, { tenant });
  shared.play(3000);
  const served = Object.values(servedBy(shared));
  expect(served).toHaveLength(3);
  expect(Math.max(...served) / Math.min(...served)).toBeLessThan(1.2);
  // Alone, and nearly as much as the engine can do.
  const alone = new GateSimulation([[fairness, {}]], eightAtOnce);
  for (let i = 0; i < 400; i++) alone.call(`${i}`, i * 26, { tenant: "lone" });
  alone.play(11_000);
  for (const { call, admittedAt } of alone.served.values()) expect(admittedAt - call.at).toBeLessThan(10);
  expect(alone.served.size).toBe(400);
});

/** What is kept of a tenant with one session. */
const keptBy = (by: string, tenant = "acme") => {
  const simulation = new GateSimulation([[fairness, { by }]], eightAtOnce);
  for (let i = 0; i < 100; i++) simulation.call(`${i}`, i, { tenant, session: "mine" });
  simulation.play(3000);
  return simulation.snapshot(0);
};

test("a learned limit is kept, what sessions were served is not", () => {
  const limit = { limit: expect.any(Number), firstToken: [expect.any(Number), expect.any(Number)] };
  expect(keptBy("tenant")).toMatchObject({ served: [["acme", expect.any(Number)]], limit });
  expect(keptBy("session")).toMatchObject({ served: [], limit });
  expect(JSON.stringify(keptBy("session"))).not.toContain("mine");
  // Names are anybody's.
  const kept = keptBy("tenant", "__proto__");
  const context = { options: fairness.options.parse({}), clock: { now: () => 0 } };
  const restored = fairness.create(context as unknown as Parameters<typeof fairness.create>[0]);
  restored.restore?.(kept);
  expect(restored.snapshot?.()).toEqual(kept);
});

test("shares weigh", () => {
  const simulation = new GateSimulation([[fairness, { concurrency: 2, shares: { big: 3 } }]], steady);
  for (const tenant of ["big", "small"])
    for (let i = 0; i < 100; i++) simulation.call(`${tenant} ${i}`, i, { tenant });
  simulation.play(3000);
  const { big = 0, small = 1 } = servedBy(simulation);
  expect(big / small).toBeGreaterThan(2.5);
  expect(big / small).toBeLessThan(3.5);
});

test("who was away does not come back with service saved up", () => {
  const simulation = new GateSimulation([[fairness, { concurrency: 1 }]], steady);
  for (let i = 0; i < 100; i++) simulation.call(`busy ${i}`, i * 10, { tenant: "busy" });
  for (let i = 0; i < 100; i++) simulation.call(`late ${i}`, 5000, { tenant: "late" });
  simulation.play(5000);
  const before = servedBy(simulation)["busy"] ?? 0;
  simulation.play(7000);
  const { busy = 0, late = 0 } = servedBy(simulation);
  expect(late / (busy - before)).toBeLessThan(1.3);
  expect(late / (busy - before)).toBeGreaterThan(0.7);
});

test("a tenant with a call that a human was asked about still has the others", () => {
  const simulation = new GateSimulation([[fairness, {}]], () => ({ firstTokenMs: 1e6, totalMs: 1e6 }));
  const asked = {
    kind: "request",
    id: "asked",
    agent: "a",
    run: "r",
    at: 0,
    anchor: "",
    anchorTokens: 0,
  } as const;
  simulation.call("first", 0, { tenant: "one", tokens: 1000 });
  simulation.play(1);
  const { gate } = simulation;
  gate.answer({ ...asked, tenant: "one", tokens: 1000 }, "safety", { type: "admit", call: { ...asked } });
  gate.leave(asked, { status: "completed" });
  simulation.call("second", 2, { tenant: "two", tokens: 1000 });
  simulation.play(3);
  // Who comes starts at the least served of those with open calls, which is the first tenant still.
  expect(simulation.snapshot(0)).toMatchObject({
    served: expect.arrayContaining([
      ["one", 2000],
      ["two", 3000],
    ]),
  });
});

test("a lone tenant loses nothing while there is room", () => {
  const simulation = new GateSimulation([[fairness, { concurrency: 4 }]], steady);
  for (let i = 0; i < 400; i++) simulation.call(`${i}`, i * 25, { tenant: "lone" });
  simulation.play(11_000);
  for (const { call, admittedAt } of simulation.served.values()) expect(admittedAt).toBe(call.at);
  expect(simulation.served.size).toBe(400);
});

test("nobody waits for ever behind a stream of others", () => {
  const simulation = new GateSimulation([[fairness, { concurrency: 1 }]], steady);
  for (let i = 0; i < 300; i++) simulation.call(`${i}`, i * 20, { tenant: `tenant ${i % 30}` });
  simulation.call("mine", 1000, { tenant: "mine" });
  simulation.play(6000);
  expect((simulation.served.get("mine")?.admittedAt ?? Number.NaN) - 1000).toBeLessThan(3100);
});

test("in a real graph, another tenant's call goes before the rest of a burst", async () => {
  const order: string[] = [];
  const everyoneIsHeld = signal<void>();
  await using scripted = await scriptedSage({ fairness: { concurrency: 1 } }, ({ body }) => {
    order.push(String(body.messages?.at(-1)?.content));
    return { text: "ok", after: everyoneIsHeld.promise };
  });
  const model = scripted.model();
  const graph = scripted.sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("worker", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
      .addEdge(START, "worker")
      .compile(),
  );
  const ask = (tenant: string) =>
    graph.invoke({ messages: [{ role: "user", content: tenant }] }, { configurable: { tenant } });
  const burst = Array.from({ length: 6 }, () => ask("greedy"));
  const held = () => scripted.verdicts().filter((verdict) => verdict === "fairness: hold worker").length;
  await expect.poll(held, { interval: 1 }).toBe(5);
  const other = ask("other");
  await expect.poll(held, { interval: 1 }).toBe(6);
  everyoneIsHeld.resolve();
  await Promise.all([...burst, other]);
  expect(order).toHaveLength(7);
  expect(order.indexOf("other")).toBeLessThan(3);
  expect(scripted.sage.stats.faults).toBe(0);
});
