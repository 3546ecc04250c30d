import * as fc from "fast-check";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { expect, test } from "vitest";
import { Drift } from "../../src/learn/drift.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { App } from "../runtime/app.ts";

/** Successors 0, 1 and 2 of agent 3, drawn with these chances, until an alarm or `most` of them. */
function untilAlarm(
  drift: Drift,
  seed: number,
  chances: readonly number[],
  most: number,
  told: (to: number) => number,
): number {
  const random = xoroshiro128plus(seed);
  for (let count = 1; count <= most; count++) {
    let left = uniformFloat64(random);
    let to = 0;
    while (to < chances.length - 1 && (left -= chances[to] as number) > 0) to++;
    if (drift.came(3, to, told(to))) return count;
  }
  return most + 1;
}

test("nothing changes, no alarm: 200 times 500 successors of known chances give at most a few", () => {
  const chances = [0.7, 0.25, 0.05];
  let alarms = 0;
  for (let seed = 0; seed < 200; seed++)
    if (untilAlarm(new Drift(), seed, chances, 500, (to) => chances[to] as number) <= 500) alarms++;
  // 100,000 successors, with 10,000 or more between two false alarms in the mean.
  expect(alarms).toBeLessThanOrEqual(10);
});

test("an agent that turns from one successor to another is found out within a dozen calls", () => {
  const before = [0.9, 0.08, 0.02];
  for (let seed = 0; seed < 50; seed++) {
    const drift = new Drift();
    untilAlarm(drift, seed, before, 60, (to) => before[to] as number);
    const found = untilAlarm(drift, seed + 1000, [0, 0.05, 0.95], 100, (to) => before[to] as number);
    expect(found).toBeLessThanOrEqual(12);
    const recent = drift.recent(3);
    expect(recent[2]).toBeGreaterThan(0);
    expect(recent.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(32);
  }
});

test("what it goes by after any history are counts of at most 32 successors", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 3000 }),
      (history) => {
        const drift = new Drift();
        for (const [to, probability] of history) drift.came(1, to, probability);
        const recent = drift.recent(1);
        expect(recent.every((count) => count === 0 || (count >= 0.1 && count <= 32))).toBe(true);
        expect(recent.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(32);
      },
    ),
    { numRuns: 50 },
  );
});

/** Probability of c after a when a was followed by b in 400 runs, and then by c in `later` runs. */
function afterChange(predictor: LearnedPredictor, later: number): number {
  const app = new App();
  const feed = (run: string, to: string) => {
    for (const event of app.run(run, "a", to)) predictor.observe(event);
  };
  for (let i = 0; i < 400; i++) feed(`old ${i}`, "b");
  for (let i = 0; i < later; i++) feed(`new ${i}`, "c");
  predictor.observe(app.start("x"));
  predictor.observe(app.call("x", "a", 1));
  return predictor.next("x").find(({ agent }) => agent === "c")?.probability ?? 0;
}

test("a learner follows an app that changes within some ten runs, one that only counts does not", () => {
  expect(afterChange(new LearnedPredictor(), 12)).toBeGreaterThan(0.8);
  expect(afterChange(new LearnedPredictor({ forgets: false }), 12)).toBeLessThan(0.3);
});
