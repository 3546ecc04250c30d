import * as fc from "fast-check";
import { expect, test } from "vitest";
import routing from "../../src/policies/routing.ts";
import type { RequestSubject } from "../../src/runtime/call.ts";
import type { Worker } from "../../src/runtime/engine.ts";
import type { PolicyContext } from "../../src/runtime/policy.ts";
import { twoServers } from "./two-servers.ts";

const [one, two, three] = ["http://one/v1", "http://two/v1", "http://three/v1"] as const;
const workersOf = (...up: readonly string[]): readonly Worker[] =>
  [one, two, three].map((baseURL) => ({ baseURL, isUp: up.includes(baseURL), underWay: 0 }));

/** A hundred tokens of text. */
const part = (hash: string) => ({ hash, length: 400 });

/** The policy with a clock and calls that go through it. */
function router(given: object = {}) {
  const time = { now: 0 };
  const context = { options: routing.options.parse(given), clock: { now: () => time.now } };
  const policy = routing.create(context as PolicyContext<ReturnType<typeof routing.options.parse>>);
  let count = 0;
  /** A call of a prompt, as text parts of 100 tokens each; where it goes. Ends at once unless it is kept under way. */
  const send = (
    parts: readonly string[],
    { workers = workersOf(one, two), isKept = false, cached = undefined as number | undefined, ms = 10 } = {},
  ): string | undefined => {
    const request = `${count++}`;
    const place = { agent: "a", run: "r", namespace: "", request };
    const [anchor = "", ...history] = parts;
    policy.observe?.({
      type: "request-start",
      at: time.now,
      ...place,
      prompt: { anchor: part(anchor), history: history.map(part) },
    });
    const tokens = parts.length * 100;
    const call: RequestSubject = {
      kind: "request",
      id: request,
      agent: "a",
      run: "r",
      at: time.now,
      anchor,
      anchorTokens: 100,
      tokens,
    };
    const moment = { now: time.now, underWay: 0, workers };
    const [verdict] = [...(policy.act?.([{ item: call, score: 0.5 }], [], moment) ?? [])];
    if (verdict?.type !== "route") return undefined;
    policy.decided?.(call, verdict);
    time.now += ms;
    policy.observe?.({ type: "request-first-token", at: time.now, ...place });
    if (isKept) return verdict.baseURL;
    const usage = { promptTokens: tokens, ...(cached !== undefined && { cachedTokens: cached }) };
    policy.observe?.({ type: "request-end", at: time.now, ...place, status: "completed", usage });
    policy.ended?.(call, { status: "completed" });
    return verdict.baseURL;
  };
  return { policy, send };
}

test("a session stays where its history is, and new ones spread", () => {
  const { send } = router();
  const places = [0, 1, 2, 3].map((i) => send([`anchor ${i}`, `first ${i}`]));
  expect(places.toSorted()).toEqual([one, one, two, two]);
  for (let turn = 0; turn < 3; turn++)
    for (const [i, place] of places.entries())
      expect(send([`anchor ${i}`, `first ${i}`, ...Array.from({ length: turn }, (_, t) => `${t}`)])).toBe(
        place,
      );
});

test("a new session of an agent goes where the agent's anchor is, until that server is busy", () => {
  const { send } = router();
  const home = send(["anchor", "x"]);
  expect(send(["anchor", "y"])).toBe(home);
  const places = Array.from({ length: 8 }, (_, i) => send(["anchor", `busy ${i}`], { isKept: true }));
  expect(places[0]).toBe(home);
  expect(new Set(places).size).toBe(2);
});

test("a server that was down has lost what it had, and one that is down gets nothing", () => {
  const { send } = router();
  const home = send(["anchor", "x"]) as string;
  const other = home === one ? two : one;
  expect(send(["anchor", "x", "y"], { workers: workersOf(other, three) })).not.toBe(home);
  const moved = send(["anchor", "x", "y", "z"], { workers: workersOf(one, two, three) });
  expect(moved).not.toBe(home);
});

test("with one server that is up there is nothing to decide", () => {
  expect(router().send(["a"], { workers: workersOf(two) })).toBeUndefined();
});

test("a prefix that the engine has dropped draws no calls any more", () => {
  const { send } = router();
  const home = send(["anchor", "x"]);
  for (let i = 0; i < 40; i++) send([`other ${i}`, "y", "z"]);
  expect(send(["anchor", "x", "1"])).toBe(home);
  for (let i = 0; i < 40; i++) send([`more ${i}`, "y", "z"]);
  expect(send(["anchor", "x", "1", "2"], { cached: 0 })).toBe(home);
  for (let i = 0; i < 40; i++) send([`yet more ${i}`, "y", "z"]);
  // Both have nothing of it; the less busy one gets it.
  const busy = send(["p"], { isKept: true });
  expect(send(["anchor", "x", "1", "2", "3"])).not.toBe(busy);
});

test("a server that is slow gets less", () => {
  const { send, policy } = router();
  for (let i = 0; i < 200; i++) {
    const parts = [`anchor ${i}`, ...Array.from({ length: i % 5 }, (_, t) => `${t}`)];
    // Both in turn by hand, so that both are measured.
    const target = i % 2 === 0 ? one : two;
    send(parts, {
      workers: workersOf(target, three).filter(({ isUp }) => isUp),
      ms: target === one ? 500 : 50,
    });
  }
  expect(Object.keys(policy.snapshot?.() as object).length).toBeGreaterThan(0);
  const places = Array.from({ length: 10 }, (_, i) => send([`new ${i}`]));
  expect(places.filter((place) => place === two).length).toBeGreaterThan(5);
});

test("a call goes to a server that is up, whatever came before", () => {
  const step = fc.record({
    parts: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }),
    up: fc.subarray([one, two, three], { minLength: 2 }),
    isKept: fc.boolean(),
    cached: fc.option(fc.nat(400), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { send } = router();
      for (const { parts, up, isKept, cached } of steps)
        expect(up).toContain(
          send(parts, { workers: workersOf(...up), isKept, ...(cached !== undefined && { cached }) }),
        );
    }),
  );
});

test("on real connections: sessions stick, hints follow, and a server that dies hands over", async () => {
  await using pair = await twoServers([() => ({ text: "ok" }), () => ({ text: "ok" })], {
    policies: { routing: true, "prefix-cache": true },
    cacheHints: true,
  });
  const model = pair.model();
  const ask = (session: string) =>
    pair.ask(model, `question of ${session}`, { session, system: `you are ${session}` });
  const sessions = ["a", "b", "c", "d"];
  for (let turn = 0; turn < 3; turn++) for (const session of sessions) await ask(session);
  await pair.sage.idle();
  const served = pair.servers.map(({ requests }) => requests.map(({ raw }) => /you are (\w)/.exec(raw)?.[1]));
  expect(served.map((list) => new Set(list).size)).toEqual([2, 2]);
  expect(served.map((list) => list.length)).toEqual([6, 6]);
  for (const event of pair.events) {
    if (event.type !== "run-start") continue;
    const home = served.findIndex((list) => list.includes(event.session));
    const [here, elsewhere] = [home, 1 - home].map(
      (index) => pair.hints[index]?.filter(({ prefix }) => prefix.run === event.run).length ?? 0,
    );
    expect(here).toBeGreaterThan(0);
    expect(elsewhere).toBeLessThan(here as number);
  }
  await pair.servers[1][Symbol.asyncDispose]();
  for (const session of sessions) expect(await ask(session)).toBe("ok");
  expect(pair.servers[0].requests).toHaveLength(10);
  expect(pair.faults).toEqual([]);
});
