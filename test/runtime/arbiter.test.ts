import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Advice, Hint } from "../../src/runtime/action.ts";
import { prefixId } from "../../src/runtime/action.ts";
import { arbitrate } from "../../src/runtime/arbiter.ts";

const prefix = fc.record({ agent: fc.constantFrom("a", "b"), run: fc.constantFrom("1", "2") });
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

test("at most one keep verb and one fetch verb is left per prefix", () => {
  fc.assert(
    fc.property(proposals, (all) => {
      const fetches = new Set(["prefetch", "cancel"]);
      const keys = arbitrate(all).kept.map(
        (proposal) => `${fetches.has(proposal.action.type)} ${prefixId(proposal.action.prefix)}`,
      );
      expect(new Set(keys).size).toBe(keys.length);
    }),
  );
});

function winner(...actions: readonly Hint[]): Advice | undefined {
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
