import { expect, test } from "vitest";
import { ANY_ANCHOR, Anchors } from "../../src/learn/anchors.ts";
import { rateToValue } from "../../src/learn/value.ts";
import { AnchorVariants } from "../../src/learn/anchor-variants.ts";

/** Four runs that came to agent 3, the first two of them with anchor x; each has made one call. */
function fourRuns(...hashes: readonly string[]) {
  const anchors = new Anchors();
  const variants = hashes.map((hash) => {
    anchors.called(3);
    const variant = anchors.used(3, hash, undefined);
    anchors.visited(3, variant);
    return variant;
  });
  return { anchors, variants };
}

test("an anchor is worth the uses that the runs which have it are expected to make", () => {
  const { anchors, variants } = fourRuns("x", "x", "y", "y");
  anchors.arrive(3, variants[0], 0.5);
  anchors.arrive(3, variants[1], 0.25);
  anchors.arrive(3, variants[2], 0.125);
  // Nothing is known of returns, and all four open runs have called it: the next step tells all.
  expect(anchors.value(3, "x", 4)).toBeCloseTo(rateToValue(0.75), 12);
  expect(anchors.value(3, "y", 4)).toBeCloseTo(rateToValue(0.125), 12);
  anchors.arrive(3, variants[0], -0.5);
  expect(anchors.value(3, "x", 4)).toBeCloseTo(rateToValue(0.25), 12);
});

test("in the long run the rate of returns counts, of all but the one whose own prefix tells it better", () => {
  const { anchors, variants } = fourRuns("x", "x", "x", "y");
  // Ten returns in 20 steps.
  for (let i = 0; i < 10; i++) anchors.away(3, 2, true);
  expect(anchors.value(3, "x", 4)).toBeCloseTo(rateToValue(2 * 0.5), 12);
  expect(anchors.value(3, "y", 4)).toBe(0);
  anchors.arrive(3, variants[3], 0.25);
  expect(anchors.value(3, "y", 4)).toBeCloseTo(rateToValue(0.25), 12);
});

test("runs that have not called the agent yet come with each anchor at its share", () => {
  const { anchors } = fourRuns("x", "x", "x", "y");
  anchors.arrive(3, undefined, 1);
  // y came once, nothing came twice: the discount is 1/(1 + 0 + 1). Shares are 2.5/4 and 0.5/4.
  // One run at the next step; six open runs, of which two have not called it; all calls so far were of this agent.
  expect(anchors.value(3, "x", 4)).toBeCloseTo(rateToValue(2.5 / 4), 12);
  expect(anchors.value(3, "x", 6)).toBeCloseTo(rateToValue((2.5 / 4) * 2), 12);
  expect(anchors.value(3, "y", 6)).toBeCloseTo(rateToValue((0.5 / 4) * 2), 12);
});

test("what all anchors begin with is worth the uses of all runs", () => {
  const { anchors, variants } = fourRuns("w", "x", "y", "z");
  for (const variant of variants) anchors.arrive(3, variant, 0.25);
  anchors.arrive(3, undefined, 0.5);
  expect(anchors.value(3, "z", 4)).toBeCloseTo(rateToValue(0.25 + 0.5 * 0.05), 12);
  expect(anchors.value(3, ANY_ANCHOR, 4)).toBeCloseTo(rateToValue(1.5), 12);
  // Five returns in five steps: three of the four, and each of the two open runs that have not called it.
  for (let i = 0; i < 5; i++) anchors.away(3, 1, true);
  expect(anchors.value(3, ANY_ANCHOR, 6)).toBeCloseTo(rateToValue(3 + 2), 12);
});

test("an anchor of runs that have all left is worth what new ones may bring", () => {
  const { anchors, variants } = fourRuns("x", "x", "y", "y");
  for (const variant of variants) anchors.left(3, variant);
  expect(anchors.value(3, "x", 0)).toBe(0);
  expect(anchors.value(3, "x", 2)).toBeGreaterThan(0);
});

test("runs that are yet to begin come with the anchor of the agent that they begin with, as often as of late", () => {
  const anchors = new Anchors();
  // Five runs, two calls each: agent 3 opens them and does not come back.
  for (let run = 0; run < 5; run++) {
    anchors.called(3, true);
    anchors.visited(3, anchors.used(3, "x", undefined));
    anchors.called(4);
  }
  // Half of all calls open a run, and all of these came with x.
  expect(anchors.value(3, "x", 5)).toBeCloseTo(rateToValue(5 / 2), 12);
  expect(anchors.value(4, undefined, 5)).toBe(0);
  const restored = new Anchors();
  restored.restore(anchors.snapshot(), (agent) => agent);
  restored.visited(3, restored.used(3, "x", undefined));
  expect(restored.value(3, "x", 1)).toBeGreaterThan(0);
});

test("a run that comes with another anchor is counted there from then on", () => {
  const { anchors, variants } = fourRuns("x");
  const other = anchors.used(3, "y", variants[0]);
  expect(variants[0]?.openRuns).toBe(0);
  expect(other.openRuns).toBe(1);
  expect(anchors.used(3, "y", other)).toBe(other);
});

test("an anchor that is new for every run has no share", () => {
  const variants = new AnchorVariants();
  for (let i = 0; i < 20; i++) variants.visited(variants.used(`run ${i}`));
  // 20 anchors that came once: the discount is 20/21 of a visit.
  expect(variants.share(variants.find("run 3"))).toBeCloseTo((1 - 20 / 21) / 20, 12);
  expect(variants.share(variants.find("never seen"))).toBe(0);
});
