import { describe, expect, test } from "vitest";
import hedging from "../../src/policies/hedging.ts";
import type { LateRequestSubject, RequestSubject } from "../../src/runtime/call.ts";
import type { Worker } from "../../src/runtime/engine.ts";
import type { PolicyContext } from "../../src/runtime/policy.ts";
import type { Reply, Script } from "../langgraph/scripted-server.ts";
import { signal } from "../langgraph/signal.ts";
import { GateSimulation } from "./gate-simulation.ts";
import { only } from "../langgraph/bench.ts";
import { twoServers, type TwoServers } from "./two-servers.ts";

const fast: Script = () => ({ text: "fast" });
/** Answers `warmUp` calls at once, and hangs on all that follow. */
const hangsAfter =
  (calls: number): Script =>
  (_request, index) =>
    index < calls ? { text: "slow" } : { hang: true };
const policies = { hedging: { budget: 1, minCalls: 4 } };

/** Lets the policy measure its agent: calls of one session all go to one server, the home. */
async function warmUp(two: TwoServers, isStreamed: boolean, fields = {}): Promise<void> {
  const model = two.model(fields);
  for (let i = 0; i < 4; i++) await two.ask(model, `warm up ${i}`, { session: "s", isStreamed });
}

/** From now on calls are late at the server that had all until now: it answers once the other one is asked as well. */
function makeLate({ servers }: TwoServers, reply: Reply, repeated: Reply): void {
  const asked = signal<void>();
  for (const server of servers)
    server.script =
      server.requests.length > 0
        ? () => ({ ...reply, after: asked.promise })
        : () => {
            asked.resolve();
            return repeated;
          };
}

describe.each([true, false])("a late call, streamed: %s", (isStreamed) => {
  test("is answered by the other server, counts once, and the first one is aborted", async () => {
    // Whichever the session's own server is, it hangs after four calls.
    await using two = await twoServers([hangsAfter(4), hangsAfter(4)], { policies });
    await warmUp(two, isStreamed);
    expect(await two.ask(two.model(), "late", { session: "s", isStreamed })).toBe("slow");
    const [most, least] = two.servers.map(({ requests }) => requests.length).toSorted((a, b) => b - a);
    expect([most, least]).toEqual([5, 1]);
    expect(only(two.events, "request-start")).toHaveLength(5);
    const ends = only(two.events, "request-end");
    expect(ends.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => "completed"));
    expect(ends.at(-1)?.usage?.promptTokens).toBe(10);
    expect(two.sage.stats.repeats).toEqual({ made: 1, won: 1, lost: 0 });
    const [entry] = [...two.sage.ledger];
    expect(entry).toMatchObject({
      policy: "hedging",
      action: { type: "route", call: { kind: "late-request", agent: "worker" } },
      outcome: { status: "applied", reason: "it answered first" },
    });
    expect(String(entry?.action && "reason" in entry.action && entry.action.reason)).toMatch(
      /^no first token after \d+ ms$/,
    );
    // Its connection is closed: a server that hangs is not left with work.
    await expect.poll(() => two.servers.map((server) => server.openRequests)).toEqual([0, 0]);
    expect(two.faults).toEqual([]);
  });

  test("stands when the first one answers first after all, and nothing of the second is seen", async () => {
    await using two = await twoServers([fast, fast], { policies });
    await warmUp(two, isStreamed);
    makeLate(two, { text: "mine" }, { hang: true });
    expect(await two.ask(two.model(), "late", { session: "s", isStreamed })).toBe("mine");
    expect(two.sage.stats.repeats).toEqual({ made: 1, won: 0, lost: 1 });
    expect([...two.sage.ledger][0]?.outcome?.reason).toBe("the first one answered first after all");
    await expect.poll(() => two.servers.map((server) => server.openRequests)).toEqual([0, 0]);
  });

  test("that its user aborts is aborted on both servers", async () => {
    await using two = await twoServers([fast, fast], { policies });
    await warmUp(two, isStreamed);
    for (const server of two.servers) server.script = () => ({ hang: true });
    const controller = new AbortController();
    const asked = two.ask(two.model(), "late", { session: "s", isStreamed, signal: controller.signal });
    asked.catch(() => {});
    await expect.poll(() => two.servers.map((server) => server.openRequests)).toEqual([1, 1]);
    controller.abort();
    await expect(asked).rejects.toThrow(/abort/i);
    await expect.poll(() => two.servers.map((server) => server.openRequests)).toEqual([0, 0]);
    expect(two.sage.stats.repeats).toEqual({ made: 1, won: 0, lost: 1 });
  });

  test("fails like the first one when both fail", async () => {
    await using two = await twoServers([fast, fast], { policies });
    await warmUp(two, isStreamed);
    makeLate(two, { status: 500 }, { status: 429 });
    await expect(two.ask(two.model(), "late", { session: "s", isStreamed })).rejects.toMatchObject({
      status: 500,
    });
    expect(two.sage.stats.repeats).toEqual({ made: 1, won: 0, lost: 1 });
  });
});

/** Requests at both servers after a call that takes 200 ms, or, where it is to be repeated, until it is; five calls in all. */
async function requestsAfter(two: TwoServers, { isRepeated = false, fields = {} } = {}): Promise<number> {
  await warmUp(two, false, fields);
  if (isRepeated) makeLate(two, { text: "done" }, { hang: true });
  else for (const server of two.servers) server.script = () => ({ text: "done", afterMs: 200 });
  expect(await two.ask(two.model(fields), "late", { session: "s" })).toBe("done");
  return two.servers[0].requests.length + two.servers[1].requests.length;
}

test("a call that the server keeps something of is never repeated", async () => {
  await using two = await twoServers([fast, fast], { policies });
  expect(await requestsAfter(two, { fields: { useResponsesApi: true } })).toBe(5);
  await using kept = await twoServers([fast, fast], { policies });
  expect(await requestsAfter(kept, { fields: { modelKwargs: { store: true } } })).toBe(5);
  await using forgotten = await twoServers([fast, fast], { policies });
  const fields = { useResponsesApi: true, modelKwargs: { store: false } };
  expect(await requestsAfter(forgotten, { isRepeated: true, fields })).toBe(6);
});

test("neither is one whose run has no model call left in safety's budget, in any mode that stops or asks", async () => {
  for (const [mode, modelCalls, requests] of [
    ["deny", 1, 5],
    ["ask", 1, 5],
    ["log", 1, 6],
    ["deny", 2, 6],
  ] as const) {
    await using two = await twoServers([fast, fast], {
      policies: { ...policies, safety: { mode, budget: { modelCalls } } },
    });
    expect(await requestsAfter(two, { isRepeated: requests === 6 })).toBe(requests);
    expect(two.faults).toEqual([]);
  }
});

test("neither is one of an agent with side effects, nor one of an agent that is not named", async () => {
  for (const more of [{ exceptAgents: ["worker"] }, { agents: ["planner"] }]) {
    await using two = await twoServers([fast, fast], {
      policies: { hedging: { ...policies.hedging, ...more } },
    });
    expect(await requestsAfter(two)).toBe(5);
  }
});

test("with one server, or without a second one that is up, nothing is repeated", async () => {
  await using one = await twoServers([fast, fast], { policies }, 1);
  expect(await requestsAfter(one)).toBe(5);
  await using two = await twoServers([fast, fast], { policies });
  await warmUp(two, false);
  const home = two.servers.findIndex(({ requests }) => requests.length > 0);
  const gone = two.servers[1 - home] as TwoServers["servers"][0];
  two.sage.adapter
    .route?.({
      url: gone.url,
      identity: { agent: "a", run: "r", namespace: "" },
      worker: gone.url,
    })
    ?.settled(false);
  expect(await requestsAfter(two)).toBe(9);
});

const call = (id: string): RequestSubject => ({
  kind: "request",
  id,
  agent: "a",
  run: "r",
  at: 0,
  anchor: "x",
  anchorTokens: 0,
  tokens: 100,
  streams: true,
});
const workers: readonly Worker[] = [
  { baseURL: "http://one/v1", isUp: true, underWay: 3 },
  { baseURL: "http://two/v1", isUp: true, underWay: 2 },
  { baseURL: "http://three/v1", isUp: true, underWay: 0 },
];

/** The policy with a clock, and calls of it that took so many milliseconds each. */
function measured(times: readonly number[], given: object = {}) {
  const time = { now: 0 };
  const context = { options: hedging.options.parse(given), clock: { now: () => time.now } };
  const policy = hedging.create(context as PolicyContext<ReturnType<typeof hedging.options.parse>>);
  const take = (id: string, ms: number, isBeaten = false) => {
    policy.decided?.(call(id), { type: "admit", call: call(id) });
    const place = { agent: "a", run: "r", namespace: "" };
    if (isBeaten) policy.ended?.(lateCall(id), { status: "completed" });
    policy.observe?.({ type: "request-first-token", ...place, request: id, at: time.now + ms });
    policy.ended?.(call(id), { status: "completed" });
  };
  times.forEach((ms, i) => void take(`${i}`, ms));
  const verdict = (id: string) =>
    [
      ...(policy.act?.([{ item: lateCall(id), score: 1 }], [], { now: time.now, underWay: 0, workers }) ??
        []),
    ][0];
  return { policy, take, verdict, patience: () => policy.patience?.(call("next")) };
}
const lateCall = (id: string): LateRequestSubject => ({
  kind: "late-request",
  id,
  agent: "a",
  run: "r",
  at: 0,
  worker: "http://three/v1",
});

test("late is past the 95th percentile of the agent's first tokens, once enough of them were seen", () => {
  const times = Array.from({ length: 100 }, (_, i) => 100 + i);
  expect(measured(times).patience()).toBe(194);
  expect(measured(times.slice(0, 19)).patience()).toBeUndefined();
});

test("though more calls stall than that leaves out, a stalled one is late", () => {
  expect(measured(Array.from({ length: 100 }, (_, i) => (i % 10 === 0 ? 5000 : 100))).patience()).toBe(400);
});

test("a call that the other server answered counts as one that took longer than all that is known", () => {
  const { take, patience } = measured(Array.from({ length: 100 }, () => 100));
  for (let i = 0; i < 20; i++) take(`beaten ${i}`, 110, true);
  expect(patience()).toBe(400);
});

test("a repeat goes to the least busy other server, and waits while the budget is spent", () => {
  const { policy, verdict, take } = measured(
    Array.from({ length: 40 }, () => 100),
    { budget: 0.05 },
  );
  for (const id of ["x", "y"]) {
    const route = verdict(id);
    expect(route).toMatchObject({ type: "route", baseURL: "http://two/v1" });
    if (route?.type === "route") policy.decided?.(lateCall(id), route);
  }
  expect(verdict("z")).toMatchObject({ type: "hold" });
  for (let i = 0; i < 21; i++) take(`more ${i}`, 100);
  expect(verdict("z")).toMatchObject({ type: "route" });
});

/** A policy that does nothing but name a patience. */
const patient = (ms: number | undefined) =>
  ({ ...hedging, name: `p${ms}`, create: () => ({ patience: () => ms }) }) as typeof hedging;

test("the shortest patience of several policies counts", () => {
  const simulation = new GateSimulation(
    [30, undefined, 20, 40].map((ms) => [patient(ms), {}] as const),
    () => ({ firstTokenMs: 1, totalMs: 2 }),
  );
  expect(simulation.gate.arrive(call("1"))).toMatchObject([{ verdict: { type: "admit" }, patienceMs: 20 }]);
});
