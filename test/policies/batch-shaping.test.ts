import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import admission from "../../src/policies/admission.ts";
import batchShaping from "../../src/policies/batch-shaping.ts";
import { GateSimulation } from "./gate-simulation.ts";
import { signal } from "../langgraph/signal.ts";
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
  simulation.play(1500);
  expect(simulation.served.get("2")?.admittedAt).toBe(1000);
  cachedTokens = 0;
  simulation.call("3", 2000, anchored);
  // Of the first burst one goes along, to see whether that does as well.
  for (const id of ["4", "trial", "5", "6"]) simulation.call(id, 3000, anchored);
  simulation.play(5000);
  const admitted = ["4", "trial", "5", "6"].map((id) => simulation.served.get(id)?.admittedAt);
  expect(admitted).toEqual([3000, 3000, 3100, 3100]);
});

/** Bursts of four calls, each at a cold anchor, on an engine; how many of each waited. */
function waitsByBurst(bursts: number, found: (way: "along" | "after") => boolean): readonly number[] {
  const leaders = new Map<string, number>();
  const simulation: GateSimulation = new GateSimulation(
    [[batchShaping, {}]],
    prefill,
    ({ id, anchor, anchorTokens, tokens }) => {
      const [since, at] = [leaders.get(anchor), simulation.served.get(id)?.admittedAt ?? 0];
      if (since === undefined) leaders.set(anchor, at);
      const isFound = since !== undefined && found(at >= since + 100 ? "after" : "along");
      return { promptTokens: tokens, cachedTokens: isFound ? anchorTokens : 0, outputTokens: 10 };
    },
  );
  for (let burst = 0; burst < bursts; burst++)
    for (let i = 0; i < 4; i++)
      simulation.call(`${burst} ${i}`, burst * 1000 + i, { anchor: `${burst}`, anchorTokens: 1000 });
  simulation.play(bursts * 1000);
  return Array.from(
    { length: bursts },
    (_, burst) =>
      [0, 1, 2, 3].filter((i) => {
        const one = simulation.served.get(`${burst} ${i}`);
        return one && one.admittedAt > one.call.at;
      }).length,
  );
}

test("where only those that waited find the anchor, calls go on being held, but for a few that see whether it is so", () => {
  expect(waitsByBurst(10, (way) => way === "after")).toEqual([3, 2, 2, 3, 2, 3, 3, 3, 2, 3]);
});

test("an engine that shares what is being computed holds nobody, but for a few", () => {
  expect(waitsByBurst(10, () => true)).toEqual([3, 2, 1, 0, 1, 0, 0, 0, 1, 0]);
});

test("an engine whose anchor is found by nobody else holds nobody, but for a few", () => {
  expect(waitsByBurst(10, () => false)).toEqual([3, 1, 1, 0, 1, 0, 0, 0, 1, 0]);
});

/** The anchors of calls that wait for one place, in the order in which they go. */
function orderOf(calls: readonly (readonly [at: number, anchor: string])[]): string {
  const simulation = new GateSimulation(
    [
      [batchShaping, {}],
      [admission, { initial: 1, min: 1, max: 1, reserved: 0 }],
    ],
    () => ({ firstTokenMs: 10, totalMs: 20 }),
  );
  calls.forEach(([at, anchor], i) => simulation.call(`${i}`, at, { anchor, anchorTokens: 1000 }));
  simulation.play(1e6);
  return [...simulation.served.values()].map(({ call }) => call.anchor).join("");
}

test("calls that wait for room go agent by agent", () => {
  const calls = Array.from({ length: 12 }, (_, i) => [0, String(i % 3)] as const);
  expect(orderOf(calls)).toBe("000011112222");
});

test("an agent that keeps calling passes nobody but with those that waited when its turn came", () => {
  const busy = Array.from({ length: 10 }, (_, i) => [10 * i, "a"] as const);
  const calls = [...busy, [15, "b"] as const, [16, "b"] as const].toSorted(([one], [other]) => one - other);
  expect(orderOf(calls)).toBe("aaabbaaaaaaa");
});

test("whatever comes when: all go, in groups, and nobody waits for two groups of one other agent", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.constantFrom("a", "b", "c")), { maxLength: 30 }),
      (arrivals) => {
        const calls = arrivals.toSorted(([one], [other]) => one - other);
        const order = orderOf(calls);
        expect([...order].toSorted()).toEqual(calls.map(([, anchor]) => anchor).toSorted());
        // Calls of one anchor go in the order in which they came.
        const places = new Map(
          ["a", "b", "c"].map((anchor) => [anchor, calls.filter((one) => one[1] === anchor)]),
        );
        const sequence = [...order].map((anchor) => places.get(anchor)?.shift() as readonly [number, string]);
        for (const [place, [at, anchor]] of sequence.entries()) {
          const younger = sequence.slice(0, place).filter(([other, its]) => other > at && its !== anchor);
          for (const passing of new Set(younger.map(([, its]) => its))) {
            const own = sequence.flatMap(([other, its], i) =>
              i < place && its === passing && other > at ? [i] : [],
            );
            // What passes it is one group without another agent in between.
            expect((own.at(-1) ?? 0) - (own[0] ?? 0) + 1).toBe(own.length);
          }
        }
      },
    ),
  );
});

test("a priority goes before the agent whose turn it is", () => {
  const simulation = new GateSimulation(
    [
      [batchShaping, {}],
      [admission, { initial: 1, min: 1, max: 1, reserved: 0 }],
    ],
    () => ({ firstTokenMs: 10, totalMs: 20 }),
  );
  for (let i = 0; i < 3; i++) simulation.call(`${i}`, 0, { ...anchored, priority: 0.5 });
  simulation.call("urgent", 0, { ...anchored, anchor: "b", priority: 0.6 });
  simulation.play(1000);
  expect([...simulation.served.keys()]).toEqual(["0", "urgent", "1", "2"]);
});

test("in a real graph, four runs at once send one request, and the rest when it has answered", async () => {
  const answered = signal<void>();
  const bothHaveCome = signal<void>();
  const arrived: string[] = [];
  await using scripted = await scriptedSage({ "batch-shaping": { maxHoldMs: 60_000 } }, ({ body }) => {
    arrived.push(String(body.messages?.at(-1)?.content));
    if (arrived.length === 6) bothHaveCome.resolve();
    return { text: "ok", after: arrived.length > 4 ? bothHaveCome.promise : answered.promise };
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
  const four = Promise.all(["a", "b", "c", "d"].map(ask));
  const held = Array(3).fill("batch-shaping: hold planner");
  await expect.poll(() => scripted.verdicts(), { interval: 1 }).toEqual(held);
  await expect.poll(() => arrived, { interval: 1 }).toHaveLength(1);
  answered.resolve();
  await four;
  expect(arrived).toHaveLength(4);
  // The anchor is warm: none of two at once is held for the other, which is not answered before both have come.
  await Promise.all(["e", "f"].map(ask));
  expect(scripted.verdicts()).toEqual(held);
});
