import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Advice, Hint, Verdict } from "../../src/runtime/action.ts";
import { prefixId } from "../../src/runtime/action.ts";
import { AheadBudget, type AheadHint, isAhead } from "../../src/runtime/ahead-budget.ts";
import { arbitrate, combinedScore, type Proposal, rule } from "../../src/runtime/arbiter.ts";
import type { CallRef } from "../../src/runtime/call.ts";
import { App } from "./app.ts";

const prefix = fc.record(
  { agent: fc.constantFrom("a", "b"), run: fc.constantFrom("1", "2"), branch: fc.constant(1) },
  { requiredKeys: ["agent", "run"] },
);
const value = fc.double({ min: 0, max: 1, noNaN: true });
const action: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({ type: fc.constant("retain" as const), prefix, value }),
  fc.record({ type: fc.constant("release" as const), prefix }),
  fc.record({ type: fc.constant("pin" as const), prefix }),
  fc.record({ type: fc.constant("evict" as const), prefix }),
  fc.record({ type: fc.constant("cancel" as const), prefix }),
  fc.record({
    type: fc.constant("prefetch" as const),
    prefix,
    value,
    probability: value,
    tokens: fc.nat(1000),
  }),
);
const proposals = fc.array(fc.record({ policy: fc.constantFrom("p", "q"), action }), { maxLength: 20 });

test("every proposal is either kept or dropped with a reason", () => {
  fc.assert(
    fc.property(proposals, (all) => {
      const { kept, dropped } = arbitrate(all);
      expect(kept.length + dropped.length).toBe(all.length);
      expect(dropped.every(({ reason }) => reason.length > 0)).toBe(true);
    }),
  );
});

test("at most one keep verb is left per prefix, and one fetch verb per agent of a run, whatever the branch", () => {
  fc.assert(
    fc.property(proposals, (all) => {
      const fetches = new Set(["prefetch", "cancel"]);
      const keys = arbitrate(all).kept.map(({ action: { type, prefix: about } }) =>
        fetches.has(type) ? `fetch ${about.run} ${about.agent}` : prefixId(about),
      );
      expect(new Set(keys).size).toBe(keys.length);
    }),
  );
});

function winner(...actions: readonly Advice[]): Advice | undefined {
  return arbitrate(actions.map((one, i) => ({ policy: `p${i}`, action: one }))).kept[0]?.action;
}

test("retain beats release, the higher value beats the lower, pin beats both", () => {
  const at = { agent: "a", run: "1" };
  const low: Hint = { type: "retain", prefix: at, value: 0.1 };
  const high: Hint = { type: "retain", prefix: at, value: 0.9 };
  const release: Hint = { type: "release", prefix: at };
  const pin: Hint = { type: "pin", prefix: at };
  expect(winner(release, low)).toBe(low);
  expect(winner(low, high)).toBe(high);
  expect(winner(pin, high, release)).toBe(pin);
});

test("equal wishes go to the policy that comes first", () => {
  const first: Hint = { type: "retain", prefix: { agent: "a" }, value: 0.5 };
  const second: Hint = { type: "retain", prefix: { agent: "a" }, value: 0.5 };
  const { kept } = arbitrate([
    { policy: "p", action: first },
    { policy: "q", action: second },
  ]);
  expect(kept.map(({ policy }) => policy)).toEqual(["p"]);
});

const ahead = fc.record({
  policy: fc.constantFrom("p", "q"),
  action: fc.oneof(
    fc.record({
      type: fc.constant("prefetch" as const),
      prefix,
      value,
      probability: value,
      tokens: fc.nat(500),
    }),
    fc.record({
      type: fc.constant("speculate" as const),
      prefix,
      from: fc.constant("c"),
      probability: value,
      tokens: fc.nat(500),
    }),
  ),
});

test("rule: speculate and prefetch share one token budget per engine", () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(ahead, { maxLength: 6 }), { maxLength: 6 }),
      fc.nat(1000),
      (moments, limit) => {
        const budget = new AheadBudget(limit);
        const taken = new Map<string, number>();
        for (const moment of moments) {
          const { kept, dropped } = arbitrate(moment, budget);
          expect(kept.length + dropped.length).toBe(moment.length);
          for (const { action: one } of kept)
            if (isAhead(one)) taken.set(`${one.type} ${one.prefix.run} ${one.prefix.agent}`, one.tokens);
          const sum = [...taken.values()].reduce((all, tokens) => all + tokens, 0);
          expect(budget.tokens).toBe(sum);
          expect(sum).toBeLessThanOrEqual(limit);
          expect(dropped.every(({ reason }) => reason.length > 0)).toBe(true);
        }
      },
    ),
  );
});

test("rule: of work ahead that the budget has no room for, the most probable goes first", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 8 }),
      (chances) => {
        const moment = chances.map((chance, i): Proposal => ({
          policy: `p${i}`,
          action: {
            type: "speculate",
            prefix: { agent: `a${i}`, run: "1" },
            from: "c",
            probability: chance / 100,
            tokens: 10,
          },
        }));
        const { kept, dropped } = arbitrate(moment, new AheadBudget(10));
        expect(dropped).toHaveLength(chances.length - 1);
        expect(kept).toMatchObject([{ action: { probability: Math.max(...chances) / 100 } }]);
        expect(dropped[0]?.reason).toMatch(
          /10 tokens are more than is left of the budget for work ahead: 10 of 10 are taken/,
        );
      },
    ),
  );
});

test("rule: the budget is free again when what it was taken for is used, withdrawn, over or not carried out", () => {
  const prefetch: AheadHint = {
    type: "prefetch",
    prefix: { agent: "a", run: "1" },
    value: 1,
    probability: 1,
    tokens: 10,
  };
  const speculate: AheadHint = {
    type: "speculate",
    prefix: { agent: "a", run: "1" },
    from: "c",
    probability: 1,
    tokens: 10,
  };
  const app = new App();
  const after = (...acts: readonly ((budget: AheadBudget) => void)[]) => {
    const budget = new AheadBudget(100);
    budget.take(prefetch);
    budget.take(speculate);
    for (const act of acts) act(budget);
    return budget.tokens;
  };
  expect(after()).toBe(20);
  expect(after((budget) => budget.observe(app.call("1", "a")))).toBe(10);
  expect(after((budget) => budget.observe(app.call("2", "a")))).toBe(20);
  expect(after((budget) => budget.observe(app.end("1")))).toBe(0);
  expect(
    after((budget) =>
      arbitrate([{ policy: "p", action: { type: "cancel", prefix: prefetch.prefix } }], budget),
    ),
  ).toBe(10);
  expect(after((budget) => budget.settle(prefetch, { status: "applied" }))).toBe(20);
  expect(after((budget) => budget.settle(prefetch, { status: "ignored" }))).toBe(10);
  expect(after((budget) => budget.settle(prefetch, { status: "dropped", reason: "" }))).toBe(10);
  expect(after((budget) => budget.settle(speculate, { status: "applied" }))).toBe(10);
});

test("rule: a prefetch that is asked for again is given back when none of the hints about it is left", () => {
  const about = { type: "prefetch", prefix: { agent: "a", run: "1" }, value: 1, probability: 1 } as const;
  const [first, second, third] = [
    { ...about, tokens: 10 },
    { ...about, tokens: 20 },
    { ...about, tokens: 30 },
  ];
  const budget = new AheadBudget(100);
  budget.take(first);
  budget.take(second);
  // The engine is at it already.
  budget.settle(second, { status: "ignored" });
  expect(budget.tokens).toBe(20);
  budget.settle(first, { status: "cancelled" });
  expect(budget.tokens).toBe(0);
  budget.take(third);
  // What became of those before it says nothing about it.
  budget.settle(second, { status: "cancelled" });
  expect(budget.tokens).toBe(30);
  budget.settle(third, { status: "applied" });
  budget.observe(new App().call("1", "a"));
  expect(budget.tokens).toBe(0);
});

test("rule: on one prefix the higher of two retains wins, and retain beats release", () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), fc.boolean(), (values, isReleased) => {
      const at = { agent: "a", run: "1" };
      const actions: Hint[] = values.map((one) => ({ type: "retain", prefix: at, value: one }));
      if (isReleased) actions.splice(values.length >> 1, 0, { type: "release", prefix: at });
      expect(winner(...actions)).toEqual({ type: "retain", prefix: at, value: Math.max(...values) });
    }),
  );
});

test("rule: what runs early computes the prefix as well, so that its prefetch gives way", () => {
  fc.assert(
    fc.property(value, value, fc.boolean(), (chance, worth, isFirst) => {
      const at = { agent: "a", run: "1" };
      const speculate: Advice = { type: "speculate", prefix: at, from: "c", probability: chance, tokens: 1 };
      const prefetch: Advice = { type: "prefetch", prefix: at, value: worth, probability: 1, tokens: 1 };
      expect(winner(...(isFirst ? [speculate, prefetch] : [prefetch, speculate]))).toBe(speculate);
    }),
  );
});

const call: CallRef = { kind: "request", id: "1", agent: "a", run: "1" };
const verdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc.constant({ type: "admit" as const, call }),
  fc.record({
    type: fc.constant("hold" as const),
    call: fc.constant(call),
    forMs: fc.nat(1000),
    reason: fc.constant("x"),
  }),
  fc.constant({ type: "route" as const, call, baseURL: "http://other" }),
  fc.constant({ type: "reuse" as const, call, output: 1 }),
  fc.constant({ type: "ask" as const, call, question: "?" }),
  fc.constant({ type: "deny" as const, call, reason: "x" }),
);
const judgements = fc.array(verdict, { minLength: 1, maxLength: 8 });
const given = (all: readonly Verdict[]) => all.map((one, i) => ({ policy: `p${i}`, verdict: one }));
const has = (all: readonly Verdict[], ...types: readonly Verdict["type"][]) =>
  all.some(({ type }) => types.includes(type));

test("rule: deny beats all", () => {
  fc.assert(
    fc.property(judgements, fc.nat(1000), (all, budgetMs) => {
      expect(rule(call, given(all), budgetMs).kept.verdict.type === "deny").toBe(has(all, "deny"));
    }),
  );
});

test("rule: reuse beats hold and route", () => {
  fc.assert(
    fc.property(judgements, fc.nat(1000), (all, budgetMs) => {
      fc.pre(has(all, "reuse") && !has(all, "deny", "ask"));
      expect(rule(call, given(all), budgetMs).kept.verdict.type).toBe("reuse");
    }),
  );
});

test("rule: the longest hold wins, but never past the call's budget", () => {
  fc.assert(
    fc.property(judgements, fc.integer({ min: -10, max: 1000 }), (all, budgetMs) => {
      fc.pre(has(all, "hold") && !has(all, "deny", "ask", "reuse"));
      const { kept } = rule(call, given(all), budgetMs);
      const longest = Math.max(...all.map((one) => (one.type === "hold" ? one.forMs : 0)));
      const held = kept.verdict.type === "hold" ? kept.verdict.forMs : undefined;
      expect(held).toBe(budgetMs > 0 ? Math.min(longest, budgetMs) : undefined);
    }),
  );
});

test("rule: priorities combine by weighted mean", () => {
  const weighted = fc.record({ score: value, weight: fc.double({ min: 0.1, max: 10, noNaN: true }) });
  fc.assert(
    fc.property(fc.array(weighted, { minLength: 1, maxLength: 5 }), (scores) => {
      const mean = combinedScore(scores);
      expect(mean).toBeGreaterThanOrEqual(Math.min(...scores.map(({ score }) => score)) - 1e-9);
      expect(mean).toBeLessThanOrEqual(Math.max(...scores.map(({ score }) => score)) + 1e-9);
      const total = scores.reduce((sum, { weight }) => sum + weight, 0);
      expect(mean * total).toBeCloseTo(scores.reduce((sum, { score, weight }) => sum + score * weight, 0));
    }),
  );
  expect(combinedScore([])).toBe(0.5);
});

test("rule: ties break by policy order", () => {
  fc.assert(
    fc.property(judgements, fc.integer({ min: 1, max: 1000 }), (all, budgetMs) => {
      const { kept } = rule(call, given(all), budgetMs);
      const place = Number(kept.policy?.slice(1));
      const type = kept.verdict.type;
      const longest = Math.max(...all.map((one) => (one.type === "hold" ? one.forMs : 0)));
      const first = all.findIndex(
        (one) => one.type === type && (one.type !== "hold" || one.forMs === longest),
      );
      expect(place).toBe(first);
    }),
  );
});

test("rule: every drop has its reason, and every verdict is kept or dropped", () => {
  fc.assert(
    fc.property(judgements, fc.integer({ min: -10, max: 1000 }), (all, budgetMs) => {
      const { kept, dropped } = rule(call, given(all), budgetMs);
      expect(dropped.length + (kept.policy === undefined ? 0 : 1)).toBe(all.length);
      expect(dropped.every(({ reason }) => reason.length > 0)).toBe(true);
    }),
  );
});
