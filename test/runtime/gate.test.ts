import * as fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import type { Action } from "../../src/runtime/action.ts";
import type { RequestSubject } from "../../src/runtime/call.ts";
import { Gate } from "../../src/runtime/gate.ts";
import { PolicyFaults, type InstalledPolicy } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import { definePolicy, type Policy, type PolicyDefinition } from "../../src/runtime/policy.ts";

const BUDGET_MS = 100;

const install = (
  policy: Policy<"request">,
  change: Partial<PolicyDefinition<"request">> = {},
): InstalledPolicy => ({
  definition: definePolicy<"request", z.ZodType>({
    name: "own",
    description: "",
    subject: "request",
    actions: ["admit", "hold", "deny"],
    options: z.strictObject({}),
    create: () => policy,
    ...change,
  }),
  policy,
});

const ids = (ruled: ReturnType<Gate["arrive"]>) =>
  ruled.map(({ call, verdict }) => `${call.id} ${verdict.type}`);

function gateOf(...policies: readonly InstalledPolicy[]) {
  const time = { now: 0 };
  const faults: string[] = [];
  const ledger = new Ledger();
  const clock = { now: () => time.now };
  const note = new PolicyFaults((where, error) => faults.push(`${where}: ${String(error)}`));
  const gate = new Gate({ clock, policies, faults: note, ledger, budgetMs: BUDGET_MS });
  const request = (id: string, more: Partial<RequestSubject> = {}): RequestSubject => ({
    kind: "request",
    id,
    agent: "a",
    run: `run ${id}`,
    at: time.now,
    anchor: "x",
    anchorTokens: 10,
    tokens: 100,
    ...more,
  });
  const ended = (id: string) =>
    gate.observe({
      type: "request-end",
      at: time.now,
      agent: "a",
      run: `run ${id}`,
      namespace: "a",
      request: id,
      status: "completed",
    });
  return { gate, time, faults, note, ledger, request, ended };
}

/** Lets `limit` calls go at once. */
const limited = (limit: number, more: Policy<"request"> = {}): Policy<"request"> => ({
  act: (ranked, _predictions, { underWay }) =>
    ranked.map(({ item: call }, place): Action =>
      place < limit - underWay
        ? { type: "admit", call }
        : { type: "hold", call, forMs: Number.POSITIVE_INFINITY, reason: "full" },
    ),
  ...more,
});

test("a call without an objection goes at once, and kinds without a policy need no gate", () => {
  const { gate, request } = gateOf(install({}));
  expect(ids(gate.arrive(request("1")))).toEqual(["1 admit"]);
  expect(gate.handles("tool-call")).toBe(false);
});

test("what is held goes when another call ends, best score first", () => {
  const { gate, request, ended } = gateOf(install(limited(1, { score: ({ priority = 0 }) => priority })));
  expect(ids(gate.arrive(request("1")))).toEqual(["1 admit"]);
  expect(gate.arrive(request("2", { priority: 0.1 }))).toEqual([]);
  expect(gate.arrive(request("3", { priority: 0.9 }))).toEqual([]);
  expect(ids(ended("1"))).toEqual(["3 admit"]);
  expect(ids(ended("3"))).toEqual(["2 admit"]);
});

/** That a call leaves with. */
const priorityOf = (...policies: readonly InstalledPolicy[]) => {
  const { gate, request, faults } = gateOf(...policies);
  const [ruled] = gate.arrive(request("1", { priority: 0.1 }));
  return { priority: ruled?.priority, faults: faults.length };
};

test("a call takes along the priority that policies give it, their weighted mean; nonsense is a fault, and gives none", () => {
  const giving = (priority: number, more: Policy<"request"> = {}) =>
    install({
      act: (ranked) => ranked.map(({ item: call }) => ({ type: "admit", call, priority })),
      ...more,
    });
  const routing = install(
    {
      act: (ranked) => ranked.map(({ item: call }) => ({ type: "route", call, baseURL: "http://other/v1" })),
    },
    { actions: ["route"] },
  );
  expect(priorityOf(install(limited(1)))).toEqual({ priority: undefined, faults: 0 });
  expect(priorityOf(giving(0.25))).toEqual({ priority: 0.25, faults: 0 });
  expect(priorityOf(giving(1, { weight: 3 }), routing, install(limited(1)), giving(0.2))).toEqual({
    priority: 0.8,
    faults: 0,
  });
  expect(priorityOf(giving(2))).toEqual({ priority: undefined, faults: 1 });
});

test("what a denied call leaves free goes to the next at once", () => {
  const denying = install({
    act: (ranked) =>
      ranked.flatMap(({ item }) => (item.id === "2" ? { type: "deny", call: item, reason: "no" } : [])),
  });
  const { gate, request, ended } = gateOf(install(limited(1)), denying);
  gate.arrive(request("1"));
  expect(ids(gate.arrive(request("2")))).toEqual(["2 deny"]);
  gate.arrive(request("3"));
  expect(ids(ended("1"))).toEqual(["3 admit"]);
});

test("of calls that go on together a policy that fails closed is asked once more about each, after what the others spent", () => {
  let isOpen = false;
  let spent = 0;
  let asked = 0;
  const holding = install({
    act: (ranked) =>
      isOpen
        ? []
        : ranked.map(({ item: call }) => ({ type: "hold", call, forMs: BUDGET_MS, reason: "not yet" })),
  });
  const ofThree = install(
    {
      act: (ranked) => {
        asked += ranked.length;
        return spent < 3 ? [] : ranked.map(({ item: call }) => ({ type: "deny", call, reason: "spent" }));
      },
      decided: (_call, { type }) => {
        if (type === "admit") spent++;
      },
    },
    { onFault: "closed", actions: ["deny"] },
  );
  const { gate, request } = gateOf(holding, ofThree);
  for (let i = 0; i < 50; i++) expect(gate.arrive(request(`${i}`))).toEqual([]);
  isOpen = true;
  asked = 0;
  const verdicts = gate.wake().map(({ verdict }) => verdict.type);
  expect(verdicts).toEqual(["admit", "admit", "admit", ...Array.from({ length: 47 }, () => "deny")]);
  // All 50 at first, each but the first once more, and no call is asked about as often as there are others.
  expect(asked).toBe(50 + 49);
});

test("a policy that fails admits, and denies when it fails closed", () => {
  const broken: Policy<"request"> = {
    act: () => {
      throw new Error("boom");
    },
  };
  const open = gateOf(install(broken));
  for (let i = 0; i < 50; i++) expect(ids(open.gate.arrive(open.request(`${i}`)))).toEqual([`${i} admit`]);
  expect(open.faults).toHaveLength(20);
  const closed = gateOf(install(broken, { onFault: "closed" }));
  for (let i = 0; i < 50; i++) expect(ids(closed.gate.arrive(closed.request(`${i}`)))).toEqual([`${i} deny`]);
});

test.each(["observe", "score", "decided", "ended"] as const)(
  "a policy that fails closed and throws from %s once denies from then on, another one does not",
  (hook) => {
    const play = (onFault: "open" | "closed") => {
      let isFirst = true;
      const failing = (result: unknown) => {
        if (!isFirst) return result;
        isFirst = false;
        throw new Error("boom");
      };
      const installed = install(
        { [hook]: () => failing(hook === "score" ? 1 : undefined) },
        { onFault, actions: ["deny"] },
      );
      const { gate, request, ended, note } = gateOf(installed);
      // As the runtime does, which shares the count of faults with the gate.
      if (hook === "observe") note.note(installed, "observe", new Error("boom"));
      const first = ids(gate.arrive(request("1")));
      ended("1");
      return [first, ids(gate.arrive(request("2")))].flat();
    };
    expect(play("open")).toEqual(["1 admit", "2 admit"]);
    const before = hook === "observe" || hook === "score" ? "1 deny" : "1 admit";
    expect(play("closed")).toEqual([before, "2 deny"]);
  },
);

/** Holds all calls, for a reason of the moment. */
const holding = (reason: () => string): Policy<"request"> => ({
  act: (ranked) => ranked.map(({ item: call }) => ({ type: "hold", call, forMs: 50, reason: reason() })),
});

test("the ledger has the hold once, its reason, how long it was and what came of it", () => {
  const { gate, time, request, ended, ledger } = gateOf(install(limited(1)));
  const told = () =>
    [...ledger]
      .map(({ action: { type }, outcome }) => `${type} ${outcome?.status} ${outcome?.reason ?? ""}`.trim())
      .toReversed();
  gate.arrive(request("1"));
  gate.arrive(request("2"));
  gate.arrive(request("3"));
  time.now = 7;
  gate.wake();
  expect(told()).toEqual(["admit applied", "hold undefined", "hold undefined"]);
  ended("1");
  time.now = 9;
  gate.leave({ kind: "request", id: "3", agent: "a", run: "r" }, { status: "cancelled" });
  expect(told()).toEqual([
    "admit applied",
    "hold applied full: held for 7 ms",
    "hold cancelled full: held for 9 ms",
    "admit applied",
  ]);
});

test("a hold for another reason, or by another policy, is an entry of its own", () => {
  const { gate, time, request, ledger } = gateOf(install(holding(() => (time.now < 5 ? "early" : "late"))));
  gate.arrive(request("1"));
  time.now = 5;
  gate.wake();
  time.now = BUDGET_MS;
  gate.wake();
  const told = [...ledger].toReversed().map(({ outcome }) => `${outcome?.status} ${outcome?.reason}`);
  expect(told).toEqual([
    "applied early: held for 5 ms",
    "applied late: held for 95 ms",
    "dropped the call has waited for as long as it may",
  ]);
});

test("no interleaving holds a call past its budget, loses it or lets it go twice", () => {
  type Step = { readonly what: "arrive" | "end" | "give up" | "wait"; readonly id: number };
  const step: fc.Arbitrary<Step> = fc.record({
    what: fc.constantFrom("arrive", "end", "give up", "wait"),
    id: fc.nat(9),
  });
  const wild = fc.constantFrom<Policy<"request">>(
    limited(1),
    limited(0),
    limited(3, { score: () => 1 }),
    { act: (ranked) => ranked.map(({ item: call }) => ({ type: "hold", call, forMs: 1, reason: "wild" })) },
    { score: () => Number.NaN },
    {
      act: () => {
        throw new Error("boom");
      },
    },
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.array(wild, { minLength: 1, maxLength: 3 }),
      (steps, all) => {
        const { gate, time, request, ended } = gateOf(...all.map((policy) => install(policy)));
        const waiting = new Map<string, number>();
        let count = 0;
        const latest = new Map<number, string>();
        const left = (ruled: ReturnType<Gate["arrive"]>) => {
          for (const { call } of ruled) {
            expect(time.now - (waiting.get(call.id) ?? Number.NaN)).toBeLessThanOrEqual(BUDGET_MS);
            waiting.delete(call.id);
          }
        };
        for (const { what, id } of steps) {
          const key = latest.get(id) ?? "none";
          if (what === "arrive") {
            const fresh = `${id}-${count++}`;
            latest.set(id, fresh);
            waiting.set(fresh, time.now);
            left(gate.arrive(request(fresh)));
          } else if (what === "end") {
            if (!waiting.has(key)) left(ended(key));
          } else if (what === "give up") {
            waiting.delete(key);
            left(gate.leave({ kind: "request", id: key, agent: "a", run: "r" }, { status: "cancelled" }));
          } else {
            time.now = Math.min(time.now + 17, gate.nextWake ?? Number.POSITIVE_INFINITY);
            left(gate.wake());
          }
        }
        for (let rounds = 0; waiting.size > 0 && rounds < 1000; rounds++) {
          time.now = gate.nextWake ?? Number.NaN;
          left(gate.wake());
        }
        expect(waiting.size).toBe(0);
        expect(gate.nextWake).toBeUndefined();
      },
    ),
  );
});
