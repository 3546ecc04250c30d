import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ActionDeniedError } from "../../src/index.ts";
import admission from "../../src/policies/admission.ts";
import fairness from "../../src/policies/fairness.ts";
import safety from "../../src/policies/safety.ts";
import type { RequestSubject } from "../../src/runtime/call.ts";
import { END, type Event } from "../../src/runtime/event.ts";
import { Gate } from "../../src/runtime/gate.ts";
import { type InstalledPolicy, PolicyFaults } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import type { PolicyContext } from "../../src/runtime/policy.ts";
import { eightAtOnce, GateSimulation } from "./gate-simulation.ts";
import { scriptedSage } from "./scripted-sage.ts";

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

/**
 * An engine that computes prompts one after the other, in the order in which they come, and stops none that it has begun; answers
 * take another 40 ms each. Calls come at twice its capacity, one in eight of high priority.
 */
function oneAfterTheOther(policies: ConstructorParameters<typeof GateSimulation>[0]) {
  let freeAt = 0;
  const simulation: GateSimulation = new GateSimulation(policies, () => {
    freeAt = Math.max(freeAt, simulation.now) + 40;
    return { firstTokenMs: freeAt - simulation.now, totalMs: freeAt - simulation.now + 40 };
  });
  for (let i = 0; i < 800; i++)
    simulation.call(`${i}`, i * 20 + ((i * 7) % 13), { priority: i % 8 === 4 ? 1 : 0.2 });
  simulation.play(60_000);
  const served = [...simulation.served.values()];
  const times = served
    .filter(({ call }) => call.priority === 1 && call.at > 2000)
    .map(({ call, firstTokenAt }) => firstTokenAt - call.at)
    .toSorted((a, b) => a - b);
  expect(served).toHaveLength(800);
  return {
    p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    lastAt: Math.max(...served.map(({ firstTokenAt }) => firstTokenAt)),
  };
}

test("a call of high priority waits for one prompt that was begun, and for no more; all calls together take as long", () => {
  const without = oneAfterTheOther([]);
  const withIt = oneAfterTheOther([[admission, {}]]);
  const withoutHeadroom = oneAfterTheOther([[admission, { headroom: 1e9 }]]);
  expect(without.p99).toBeGreaterThan(10 * 40);
  expect(withoutHeadroom.p99).toBeGreaterThan(2.5 * 40);
  // The engine does not stop what it has begun: 40 ms of another prompt, and 40 ms of its own.
  expect(withIt.p99).toBeLessThanOrEqual(2 * 40);
  expect(withIt.lastAt).toBeLessThan(1.02 * without.lastAt);
});

function subject(id: string, priority: number): RequestSubject {
  const run = `run ${id}`;
  return { kind: "request", id, agent: "a", run, at: 0, anchor: "", anchorTokens: 0, tokens: 1000, priority };
}

/** What becomes of three calls of low priority after two of high priority, whose prompts took a millisecond a token. */
function letGo(servesByPriority: boolean, underWay = 0) {
  const time = { now: 0 };
  const clock = { now: () => time.now };
  const given = admission.options.parse({ initial: 4, min: 4 });
  const policy = admission.create({ options: given, clock } as PolicyContext<never>);
  for (const tokens of [500, 1000]) {
    const urgent = { ...subject(`urgent ${tokens}`, 1), tokens };
    policy.decided?.(urgent, { type: "admit", call: urgent });
    const place = { agent: "a", run: urgent.run, namespace: "a", request: urgent.id };
    time.now += tokens;
    policy.observe?.({ type: "request-first-token", at: time.now, ...place });
    policy.ended?.(urgent, { status: "completed" });
  }
  const ranked = ["1", "2", "3"].map((id) => ({ item: subject(id, 0.2), score: 0.2 }));
  const moment = { now: time.now, underWay, workers: [], servesByPriority };
  if (underWay > 0) ranked.unshift({ item: subject("urgent", 1), score: 1 });
  return [...(policy.act?.(ranked, [], moment) ?? [])].map(({ type, ...more }) => [
    type,
    "priority" in more ? more.priority : undefined,
  ]);
}

test("where the engine serves by priority itself, nothing is held back for calls of high priority but for the limit", () => {
  expect(letGo(true)).toEqual(["1", "2", "3"].map(() => ["admit", 0.2]));
  expect(letGo(false).map(([type]) => type)).toEqual(["admit", "hold", "hold"]);
  // Calls of low priority that take all places, and the one that is left for calls of high priority.
  expect(letGo(true, 5)).toEqual([["admit", 1], ...["1", "2", "3"].map(() => ["hold", undefined])]);
  expect(letGo(false, 5)[0]).toEqual(["hold", undefined]);
});

test("what is off its run's critical path has a lower priority, although the agents ahead have not called yet", () => {
  const simulation = new GateSimulation([[admission, {}]], eightAtOnce);
  const agents = ["short", "long", "join"];
  const edges = [
    { from: "short", to: "join", weight: 1 },
    { from: "long", to: "more", weight: 1 },
    { from: "more", to: "join", weight: 1 },
    { from: "join", to: END, weight: 1 },
  ];
  simulation.tell({ type: "topology", at: 0, graph: "g", agents: [...agents, "more"], edges });
  const at = { run: "r", namespace: "", at: 0 };
  for (const agent of ["short", "long"])
    simulation.tell({ type: "agent-start", ...at, agent, activation: agent });
  simulation.call("short", 1, { run: "r", agent: "short" });
  simulation.call("long", 2, { run: "r", agent: "long" });
  simulation.play(500);
  for (const agent of ["short", "long"])
    simulation.tell({ type: "agent-end", ...at, agent, activation: agent, status: "completed" });
  simulation.call("join", 600, { run: "r", agent: "join" });
  simulation.play(2000);
  expect([...simulation.served.values()].map(({ call, priority }) => [call.id, priority])).toEqual([
    ["short", 0.5 * (1 - 0.5 * (1 - 2 / 3))],
    ["long", 0.5],
    ["join", 0.5],
  ]);
});

test("while there are no calls of high priority, no place is left free for them", () => {
  const simulation = new GateSimulation([[admission, { initial: 4, min: 4, max: 4 }]], eightAtOnce);
  for (let i = 0; i < 4; i++) simulation.call(`${i}`, 0);
  simulation.play(1);
  expect(simulation.served.size).toBe(4);
});

test("of one run's calls those go first that most calls have to come after; priorities that are given go before that", () => {
  const simulation = new GateSimulation([[admission, { initial: 1, min: 1, max: 1 }]], eightAtOnce);
  simulation.tell({
    type: "topology",
    at: 0,
    graph: "g",
    agents: ["short", "long", "more", "join"],
    edges: [
      { from: "short", to: "join", weight: 1 },
      { from: "long", to: "more", weight: 1 },
      { from: "more", to: "join", weight: 1 },
      { from: "join", to: END, weight: 1 },
    ],
  });
  simulation.call("first", 0, { run: "other" });
  simulation.call("short", 1, { run: "r", agent: "short" });
  simulation.call("alone", 2, { run: "s", agent: "short" });
  simulation.call("long", 3, { run: "r", agent: "long" });
  simulation.call("given", 4, { run: "t", agent: "short", priority: 0.9 });
  simulation.play(5000);
  expect([...simulation.served.keys()]).toEqual(["first", "given", "alone", "long", "short"]);
});

const place = (id: string) => ({
  agent: "a",
  run: `run ${id.split("-")[0]}`,
  namespace: "a",
  request: id,
});

test("no interleaving holds a call past its budget, and what is over leaves nothing behind", () => {
  const step = fc.record({
    what: fc.constantFrom("arrive", "first token", "end", "give up", "wait"),
    id: fc.nat(9),
    priority: fc.constantFrom(undefined, 0, 0.5, 1),
    tokens: fc.nat(3000),
  });
  const budgetMs = 100;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(1, 2, 4), (steps, max) => {
      const time = { now: 0 };
      const clock = { now: () => time.now };
      const context = (options: object) => ({ options, clock }) as PolicyContext<never>;
      const policies: readonly InstalledPolicy[] = [
        {
          definition: admission,
          policy: admission.create(context(admission.options.parse({ min: 1, initial: max, max }))),
        },
        {
          definition: safety,
          policy: safety.create(context(safety.options.parse({ budget: { modelCalls: 6 } }))),
        },
      ];
      const faults = new PolicyFaults((where, error) => {
        throw new Error(where, { cause: error });
      });
      const gate = new Gate({ clock, policies, faults, ledger: new Ledger(), budgetMs });
      const waiting = new Map<string, number>();
      const underWay = new Set<string>();
      const left = (ruled: ReturnType<Gate["wake"]>) => {
        for (const { call, verdict } of ruled) {
          expect(time.now - (waiting.get(call.id) ?? Number.NaN)).toBeLessThanOrEqual(budgetMs);
          waiting.delete(call.id);
          if (verdict.type === "admit") underWay.add(call.id);
        }
      };
      const tell = (event: Event) => {
        for (const { policy } of policies) policy.observe?.(event);
        left(gate.observe(event));
      };
      const end = (id: string) => {
        underWay.delete(id);
        tell({
          type: "request-end",
          at: time.now,
          ...place(id),
          status: "completed",
          usage: { outputTokens: 3 },
        });
      };
      const giveUp = (id: string) => {
        waiting.delete(id);
        underWay.delete(id);
        left(gate.leave({ kind: "request", id, agent: "a", run: "r" }, { status: "cancelled" }));
      };
      const latest = new Map<number, string>();
      const arrive = (id: string, tokens: number, priority: number | undefined) => {
        waiting.set(id, time.now);
        const { agent, run } = place(id);
        left(
          gate.arrive({
            kind: "request",
            id,
            agent,
            run,
            at: time.now,
            anchor: "",
            anchorTokens: 0,
            tokens,
            ...(priority !== undefined && { priority }),
          }),
        );
      };
      for (const [i, { what, id, priority, tokens }] of steps.entries()) {
        const key = latest.get(id) ?? "none";
        if (what === "arrive") {
          latest.set(id, `${id}-${i}`);
          arrive(`${id}-${i}`, tokens, priority);
        } else if (what === "first token") {
          if (underWay.has(key)) tell({ type: "request-first-token", at: time.now, ...place(key) });
        } else if (what === "end") {
          if (!waiting.has(key)) end(key);
        } else if (what === "give up") giveUp(key);
        else {
          time.now = Math.min(time.now + 17, gate.nextWake ?? Number.POSITIVE_INFINITY);
          left(gate.wake());
        }
      }
      for (let rounds = 0; waiting.size > 0 && rounds < 1000; rounds++) {
        time.now = gate.nextWake ?? Number.NaN;
        left(gate.wake());
      }
      expect([waiting.size, gate.nextWake]).toEqual([0, undefined]);
      for (const id of underWay) end(id);
      // Nothing is under way: whoever comes goes at once.
      arrive("fresh-0", 3000, 0);
      expect(underWay).toEqual(new Set(["fresh-0"]));
    }),
  );
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

test("a deadline is heard in time, also where another policy holds the call for longer", () => {
  const one = { initial: 1, min: 1, max: 1 };
  const simulation = new GateSimulation(
    [
      [admission, one],
      [fairness, { concurrency: 1 }],
    ],
    () => ({ firstTokenMs: 400, totalMs: 500 }),
  );
  simulation.call("first", 0);
  simulation.call("second", 0, { deadline: 50 });
  simulation.play(1000);
  expect(simulation.served.get("second")).toMatchObject({ verdict: "deny", admittedAt: 50 });
});
