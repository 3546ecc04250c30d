import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { PrefetchHint, PrefixRef } from "../../src/runtime/action.ts";
import { AheadBudget } from "../../src/runtime/ahead-budget.ts";

const LIMIT = 100;
const LOST_AFTER_MS = 600_000;

const prefetch = (prefix: PrefixRef, tokens: number): PrefetchHint => ({
  type: "prefetch",
  prefix,
  tokens,
  value: 1,
  probability: 1,
});

test("runs that never end do not add up, also where tokens are not bounded", () => {
  const budget = new AheadBudget(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 12_000; i++) budget.take(prefetch({ run: `${i}`, agent: "a" }, 1), i);
  expect(budget.tokens).toBe(10_000);
  expect(budget.of("1999", "a", "prefetch")).toBe(0);
  expect(budget.of("2000", "a", "prefetch")).toBe(1);
});

test("a hint is taken when it fits beside those of runs that are not lost, however often it was refused before", () => {
  const hint = fc.record({
    run: fc.constantFrom("1", "2", "3"),
    agent: fc.constantFrom("a", "b"),
    tokens: fc.integer({ min: 0, max: LIMIT }),
    afterMs: fc.constantFrom(0, 1, LOST_AFTER_MS / 2, LOST_AFTER_MS, LOST_AFTER_MS + 1),
  });
  fc.assert(
    fc.property(fc.array(hint, { maxLength: 40 }), (hints) => {
      const budget = new AheadBudget(LIMIT);
      let held: { run: string; agent: string; tokens: number; at: number }[] = [];
      let at = 0;
      for (const { run, agent, tokens, afterMs } of hints) {
        at += afterMs;
        const others = () =>
          held
            .filter((one) => one.run !== run || one.agent !== agent)
            .reduce((sum, one) => sum + one.tokens, 0);
        if (others() + tokens > LIMIT) held = held.filter((one) => at - one.at <= LOST_AFTER_MS);
        const fits = others() + tokens <= LIMIT;
        const prefix = { run, agent };
        expect(budget.take(prefetch(prefix, tokens), at)).toBe(fits);
        if (!fits) continue;
        held = [...held.filter((one) => one.run !== run || one.agent !== agent), { run, agent, tokens, at }];
        held = held.map((one) => (one.run === run ? { ...one, at } : one));
        expect(budget.tokens).toBe(held.reduce((sum, one) => sum + one.tokens, 0));
      }
    }),
  );
});
