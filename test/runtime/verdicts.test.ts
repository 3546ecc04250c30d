import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Verdict } from "../../src/runtime/action.ts";
import { combinedScore, type Judgement, rule } from "../../src/runtime/arbiter.ts";
import type { CallRef } from "../../src/runtime/call.ts";

const call: CallRef = { kind: "request", id: "1", agent: "a", run: "r" };
const forMs = fc.oneof(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.constant(Number.POSITIVE_INFINITY));
const verdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc.constant<Verdict>({ type: "admit", call }),
  fc.constant<Verdict>({ type: "admit", call, reason: "why" }),
  forMs.map((ms): Verdict => ({ type: "hold", call, forMs: ms, reason: "full" })),
  fc.constant<Verdict>({ type: "route", call, baseURL: "http://other/v1" }),
  fc.constant<Verdict>({ type: "reuse", call, output: 1 }),
  fc.constant<Verdict>({ type: "ask", call, question: "really?" }),
  fc.constant<Verdict>({ type: "deny", call, reason: "no" }),
);
const judgements: fc.Arbitrary<Judgement[]> = fc.array(
  fc.record({ policy: fc.constantFrom("p", "q", "r"), verdict }),
  { maxLength: 8 },
);
const budget = fc.double({ min: -100, max: 1e5, noNaN: true });
const types = (all: readonly Judgement[]) => new Set(all.map((one) => one.verdict.type));

/** Holds for every set of judgements and every budget. */
function always(check: (all: readonly Judgement[], budgetMs: number) => void): void {
  fc.assert(fc.property(judgements, budget, check), { numRuns: 500 });
}

test("deny beats all", () => {
  always((all, budgetMs) => {
    const { verdict: kept } = rule(call, all, budgetMs).kept;
    expect(kept.type === "deny").toBe(types(all).has("deny"));
  });
});

test("ask beats all but deny: nothing is reused or sent that a human has to see first", () => {
  always((all, budgetMs) => {
    const allowed = all.filter((one) => one.verdict.type !== "deny");
    const { verdict: kept } = rule(call, allowed, budgetMs).kept;
    expect(kept.type === "ask").toBe(types(allowed).has("ask"));
  });
});

test("reuse beats hold and route", () => {
  always((all, budgetMs) => {
    const free = all.filter((one) => one.verdict.type !== "deny" && one.verdict.type !== "ask");
    const { verdict: kept } = rule(call, free, budgetMs).kept;
    expect(kept.type === "reuse").toBe(types(free).has("reuse"));
  });
});

test("the longest hold wins, but never past the call's budget", () => {
  always((all, budgetMs) => {
    const { verdict: kept } = rule(call, all, budgetMs).kept;
    if (kept.type !== "hold") return;
    const holds = all.flatMap((one) => (one.verdict.type === "hold" ? one.verdict.forMs : []));
    expect(kept.forMs).toBe(Math.min(budgetMs, Math.max(...holds)));
    expect(kept.forMs).toBeLessThanOrEqual(budgetMs);
  });
});

test("of several that route a call the first says where it goes, unless something stronger is there", () => {
  const routes = fc.array(
    fc.record({
      policy: fc.constantFrom("p", "q", "r"),
      verdict: fc.webUrl().map((baseURL): Verdict => ({ type: "route", call, baseURL })),
    }),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(judgements, routes, budget, (others, more, budgetMs) => {
      const all = [...others.filter((one) => one.verdict.type !== "route"), ...more];
      const stronger = new Set(["reuse", "ask", "deny", ...(budgetMs > 0 ? ["hold"] : [])]);
      const { kept } = rule(call, all, budgetMs);
      const isFree = !all.some((one) => stronger.has(one.verdict.type));
      expect(kept === more[0]).toBe(isFree);
      expect(kept.verdict.type === "route").toBe(isFree);
    }),
  );
});

test("without budget nothing is held", () => {
  always((all) => {
    expect(rule(call, all, 0).kept.verdict.type).not.toBe("hold");
  });
});

test("without an objection a call is admitted", () => {
  expect(rule(call, [], 100).kept.verdict).toEqual({ type: "admit", call });
});

test("every judgement is kept or dropped with a reason, and ties go to the policy that comes first", () => {
  always((all, budgetMs) => {
    const { kept, dropped } = rule(call, all, budgetMs);
    expect(dropped.length + (kept.policy === undefined ? 0 : 1)).toBe(all.length);
    expect(dropped.every(({ reason }) => reason.length > 0)).toBe(true);
    if (kept.verdict.type === "hold" || kept.policy === undefined) return;
    const equals = all.filter((one) => one.verdict.type === kept.verdict.type);
    const first = kept.verdict.type === "admit" && equals.find((one) => one.verdict.reason !== undefined);
    expect(kept).toBe(first || equals[0]);
  });
});

test("an admission is no loser where the call goes on by another verdict; a late call is made by no other", () => {
  for (const [kind, reason] of [
    ["request", "routing lets the same call go on"],
    ["late-request", "admit gives way to route of routing on the same call"],
  ] as const) {
    const own: CallRef = { ...call, kind };
    const admit: Judgement = { policy: "admission", verdict: { type: "admit", call: own } };
    const route: Judgement = {
      policy: "routing",
      verdict: { type: "route", call: own, baseURL: "http://a/v1" },
    };
    expect(rule(own, [admit, route], 100)).toMatchObject({ kept: route, dropped: [{ reason }] });
  }
});

test("of several that admit a call, the one that says why is heard", () => {
  const silent: Judgement = { policy: "silent", verdict: { type: "admit", call } };
  const spoken: Judgement = { policy: "spoken", verdict: { type: "admit", call, reason: "why" } };
  const { kept, dropped } = rule(call, [silent, spoken], 100);
  expect(kept).toBe(spoken);
  expect(dropped).toEqual([{ judgement: silent, reason: "spoken lets the same call go on" }]);
});

test("priorities combine by weighted mean", () => {
  const score = fc.double({ min: 0, max: 1, noNaN: true });
  const weight = fc.double({ min: 0.01, max: 100, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.record({ score, weight }), { minLength: 1 }), (scores) => {
      const combined = combinedScore(scores);
      expect(combined).toBeGreaterThanOrEqual(Math.min(...scores.map((one) => one.score)) - 1e-9);
      expect(combined).toBeLessThanOrEqual(Math.max(...scores.map((one) => one.score)) + 1e-9);
    }),
  );
  expect(
    combinedScore([
      { score: 1, weight: 3 },
      { score: 0, weight: 1 },
    ]),
  ).toBe(0.75);
  expect(combinedScore([])).toBe(0.5);
});
