import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type SavedMatch, type SavedState, SavedStates } from "../../src/embedded/cache/saved-states.ts";

const tokens = fc.array(fc.nat(2), { minLength: 1, maxLength: 8 });
const operations = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("add" as const), tokens, bytes: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant("touch" as const), tokens }),
    fc.record({ kind: fc.constant("delete" as const), tokens }),
  ),
  { maxLength: 40 },
);

const shared = (left: readonly number[], right: readonly number[]): number => {
  const differs = left.findIndex((token, index) => token !== right[index]);
  return differs < 0 ? left.length : differs;
};

test("the budget is kept, the oldest use goes first, prefixes are superseded, and the longest prefix is found", () => {
  fc.assert(
    fc.property(operations, tokens, (steps, asked) => {
      const budget = 20;
      const states = new SavedStates(budget);
      let kept: SavedState[] = []; // Oldest use first.
      let isRightGone = true;
      for (const [index, step] of steps.entries()) {
        const found = states.longest(step.tokens);
        if (step.kind === "add") {
          const state = { file: String(index), tokens: step.tokens, bytes: step.bytes };
          const gone = new Set(states.add(state));
          const others = kept.filter((old) => shared(old.tokens, state.tokens) < old.tokens.length);
          while (others.reduce((sum, { bytes }) => sum + bytes, state.bytes) > budget) others.shift();
          isRightGone &&= kept.every((old) => gone.has(old) !== others.includes(old));
          kept = [...others, state];
        } else if (found !== undefined) {
          kept = kept.filter((old) => old !== found.state);
          if (step.kind === "touch") {
            states.touch(found.state);
            kept.push(found.state);
          } else states.delete(found.state);
        }
        expect(states.bytes).toBe(kept.reduce((sum, { bytes }) => sum + bytes, 0));
        expect(states.bytes).toBeLessThanOrEqual(budget);
      }
      expect(isRightGone).toBe(true);
      const best = Math.max(0, ...kept.map((state) => shared(state.tokens, asked)));
      const match = states.longest(asked);
      expect(match?.length ?? 0).toBe(best);
      const isRight = ({ state }: SavedMatch) => kept.includes(state) && shared(state.tokens, asked) === best;
      expect(match === undefined || isRight(match)).toBe(true);
      expect(states.clear()).toEqual(kept);
      expect(states.bytes).toBe(0);
      expect(states.longest(asked)).toBeUndefined();
    }),
  );
});

test("what is over the budget alone goes at once and pushes nothing out", () => {
  const states = new SavedStates(10);
  const small = { file: "small", tokens: [1], bytes: 4 };
  const large = { file: "large", tokens: [1, 2], bytes: 11 };
  expect(states.add(small)).toEqual([]);
  expect(states.add(large)).toEqual([large]);
  expect(states.longest([1, 2])).toEqual({ state: small, length: 1 });
});
