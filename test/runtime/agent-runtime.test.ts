import * as fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import prefixCache from "../../src/policies/prefix-cache.ts";
import type { Action } from "../../src/runtime/action.ts";
import { AgentRuntime } from "../../src/runtime/agent-runtime.ts";
import type { Event } from "../../src/runtime/event.ts";
import type { InstalledPolicy } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";
import { definePolicy, type Policy } from "../../src/runtime/policy.ts";
import { App } from "./app.ts";

function runtime(policies?: (own: InstalledPolicy) => InstalledPolicy[]) {
  const clock = { now: () => 0 };
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes(predictor);
  const context = { options: prefixCache.options.parse({}), clock, predictor, prefixes };
  const own = { definition: prefixCache, policy: prefixCache.create(context) };
  const faults: string[] = [];
  const ledger = new Ledger();
  const layer = new AgentRuntime({
    clock,
    predictor,
    prefixes,
    policies: policies?.(own) ?? [own],
    ledger,
    onFault: (where, error) => faults.push(`${where}: ${String(error)}`),
  });
  return { layer, faults, ledger, prefixes };
}

const bad = (policy: Policy<"prefix">): InstalledPolicy => ({
  definition: definePolicy({
    name: "bad",
    description: "",
    subject: "prefix",
    actions: ["retain"],
    options: z.strictObject({}),
    create: () => policy,
  }),
  policy,
});

function play(): readonly (readonly Action[])[] {
  const app = new App();
  const { layer } = runtime();
  return ["1", "2", "3"].flatMap((run) => app.run(run, "a", "b", "c", "b")).map((e) => layer.observe(e));
}

test("same events, same decisions", () => {
  expect(play()).toEqual(play());
});

test("what happens to a run between two decisions is decided about once, by its end or its newest request", () => {
  const app = new App();
  const seen: string[] = [];
  const asks = bad({
    act: (_ranked, _predictions, { event, run }) => {
      seen.push(`${run} ${event.type}`);
      return [];
    },
  });
  const { layer } = runtime(() => [asks]);
  const decide = (...events: Event[]) => {
    for (const event of events) layer.take(event);
    layer.decide();
    return seen.splice(0);
  };
  expect(decide(app.call("1", "a"), app.call("2", "a"))).toEqual(["1 request-start", "2 request-start"]);
  expect(decide(app.next("1", "a", "b"))).toEqual(["1 next-agents"]);
  expect(decide(app.next("2", "a", "b"), app.call("2", "b"))).toEqual(["2 request-start"]);
  expect(decide(app.call("1", "b"), app.next("1", "b", "c"))).toEqual(["1 request-start"]);
  expect(decide(app.call("1", "c"), app.end("1"), app.call("1", "d"))).toEqual(["1 run-end"]);
  expect(decide()).toEqual([]);
});

/** The prefixes that decisions at the end of each turn leave standing. */
function standing(turns: readonly (readonly Event[])[]): readonly string[] {
  const { layer, faults } = runtime();
  const held = new Set<string>();
  for (const turn of turns) {
    for (const event of turn) layer.take(event);
    for (const { type, prefix } of layer.decide())
      if (type === "release" || type === "cancel") held.delete(`${prefix.run} ${prefix.agent}`);
      else held.add(`${prefix.run} ${prefix.agent}`);
  }
  expect(faults).toEqual([]);
  return [...held].toSorted();
}

test("nothing stands after the last decision that single ones would have let go", () => {
  const agents = fc.constantFrom("a", "b", "c");
  const runs = fc.array(fc.array(agents, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
  const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1 });
  fc.assert(
    fc.property(runs, sizes, (paths, lengths) => {
      const app = new App();
      const events = paths.flatMap((path, run) => app.run(String(run), ...path));
      const turns: Event[][] = [];
      for (let at = 0, i = 0; at < events.length; i++) {
        const length = lengths[i % lengths.length] as number;
        turns.push(events.slice(at, at + length));
        at += length;
      }
      expect(standing(turns)).toEqual(standing(events.map((event) => [event])));
    }),
  );
});

function* endlessly(): Generator<Action> {
  for (;;) yield { type: "retain", prefix: { agent: "wild" }, value: 0.5 };
}

test("a policy that never stops is a fault and leaves the others their say", () => {
  const app = new App();
  const { layer, faults } = runtime((own) => [bad({ act: endlessly }), own]);
  const agents = new Set(layer.observe(app.call("1", "a")).map(({ prefix }) => prefix.agent));
  expect(agents).toEqual(new Set(["wild", "a"]));
  expect(faults).toHaveLength(1);
});

test("a policy that throws or returns nonsense is a fault and changes nothing for the others", () => {
  const nonsense = fc.constantFrom<Policy<"prefix">>(
    {
      act: () => {
        throw new Error("boom");
      },
    },
    { score: () => Number.NaN },
    { score: () => 7 },
    { act: () => [{ type: "evict", prefix: { agent: "a" } }] },
    { act: () => [{ type: "retain", prefix: { agent: "a" }, value: -1 }] },
    { act: () => JSON.parse("[null]") as [] },
    { act: () => [{ type: "retain", prefix: JSON.parse('{"agent": 7}') as { agent: string }, value: 1 }] },
    { act: () => JSON.parse('[{"type": "retain", "value": 1}]') as [] },
    { act: () => Promise.reject(new Error("boom")) as unknown as [] },
    { score: () => Promise.reject(new Error("boom")) as unknown as number },
    { observe: () => Promise.reject(new Error("boom")) as unknown as undefined },
    {
      observe: () => {
        throw new Error("boom");
      },
    },
  );
  fc.assert(
    fc.property(nonsense, fc.boolean(), (policy, first) => {
      const events = new App().run("1", "a", "b", "a", "b");
      const alone = runtime();
      const together = runtime((own) => (first ? [bad(policy), own] : [own, bad(policy)]));
      const expected = events.map((event) => alone.layer.observe(event));
      expect(events.map((event) => together.layer.observe(event))).toEqual(expected);
      expect(together.faults.length).toBeGreaterThan(0);
      expect(alone.faults).toEqual([]);
    }),
  );
});

test("a policy that keeps failing is left out", () => {
  const app = new App();
  const { layer, faults } = runtime(() => [
    bad({
      act: () => {
        throw new Error("boom");
      },
    }),
  ]);
  for (let i = 0; i < 100; i++) layer.observe(app.call("1", "a", i));
  expect(faults.length).toBe(20);
});

test("no order of events makes it throw, and nothing is left when every run has ended", () => {
  const app = new App();
  const event = fc
    .record({
      run: fc.constantFrom("1", "2", "3"),
      agent: fc.constantFrom("a", "b", "c"),
      what: fc.constantFrom("start", "call", "next", "end", "interrupt"),
    })
    .map(({ run, agent, what }): Event => {
      if (what === "start") return app.start(run, `session-${run}`);
      if (what === "call") return app.call(run, agent);
      if (what === "next") return app.next(run, agent, "a", "nowhere");
      return app.end(run, what === "end" ? "completed" : "interrupted", `session-${run}`);
    });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const { layer, faults, prefixes } = runtime();
      for (const one of events) layer.observe(one);
      for (const run of ["1", "2", "3"]) {
        layer.observe(app.start(run, `session-${run}`));
        layer.observe(app.end(run));
      }
      expect(faults).toEqual([]);
      expect(prefixes.openRuns).toBe(0);
    }),
  );
});

test("the ledger holds every decision with its policy", () => {
  const app = new App();
  const { layer, ledger } = runtime();
  const actions = app.run("1", "a", "b").flatMap((event) => layer.observe(event));
  expect([...ledger].map(({ action }) => action).toReversed()).toEqual(actions);
  expect(new Set([...ledger].map(({ policy }) => policy))).toEqual(new Set(["prefix-cache"]));
});
