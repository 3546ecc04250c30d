import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Habits, habitsState } from "../../src/learn/habits.ts";

const outcomes = fc.array(fc.constantFrom("a", "b", "c", "d", "e", "__proto__"), {
  minLength: 1,
  maxLength: 60,
});

function learned(seen: readonly string[]): Habits {
  const habits = new Habits();
  for (const outcome of seen) habits.add("context", outcome);
  return habits;
}

test("of any outcomes in any order, no more than the bound stand out when each is taken for the last", () => {
  fc.assert(
    fc.property(outcomes, fc.constantFrom(0.01, 0.05, 0.1, 0.25, 0.5), (all, bound) => {
      const out = all.filter(
        (outcome, i) => learned(all.filter((_, j) => j !== i)).chance("context", outcome) <= bound,
      );
      expect(out.length).toBeLessThanOrEqual(bound * all.length);
    }),
  );
});

test("the chance of something new is that of what was seen once, what was seen is none, and little is known at first", () => {
  expect(new Habits().chance("context", "a")).toBe(1);
  const habits = learned(["a", "a", "b", "c", "a", "c"]);
  expect(habits.seen("context")).toBe(6);
  expect(habits.chance("context", "new")).toBeCloseTo(2 / 7);
  expect(habits.chance("context", "b")).toBe(1);
  expect(habits.chance("elsewhere", "new")).toBe(1);
});

test("a snapshot has all of it, and takes the place of what was known", () => {
  fc.assert(
    fc.property(outcomes, outcomes, (all, others) => {
      const state = habitsState.parse(JSON.parse(JSON.stringify(learned(all).snapshot())));
      const restored = learned(others);
      restored.restore(state);
      expect(restored.snapshot()).toEqual(learned(all).snapshot());
      expect(restored.chance("context", "new")).toBe(learned(all).chance("context", "new"));
    }),
  );
});
