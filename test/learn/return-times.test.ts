import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BUCKETS, bucketOf, hitRateIndex, NEVER, STEPS } from "../../src/learn/horizon.ts";
import { answerOf, UNKNOWN } from "../../src/learn/answer.ts";
import { ReturnTimes } from "../../src/learn/return-times.ts";
import { RETURNS } from "../../src/learn/survival.ts";

const at = (absence: number, current: number, answer = UNKNOWN) => ({
  agent: 3,
  absence,
  current,
  previous: 4,
  answer,
  turns: 1,
  before: 4,
});
/** After the `turns`-th call in a row of the agent, which came after `before`. */
const row = (turns: number, before: number) => ({
  ...at(0, 3, answerOf(true, 100)),
  previous: turns > 1 ? 3 : before,
  turns,
  before,
});
const distribution = (times: ReturnTimes, from: ReturnType<typeof at>, next?: number) => {
  const out = new Float64Array(BUCKETS);
  times.distribution(from, next, out);
  return out;
};
const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);
const samples = fc.array(
  fc.record({ absence: fc.nat(20), current: fc.integer({ min: 3, max: 6 }), steps: fc.nat(60) }),
  { maxLength: 60 },
);
const learn = (times: ReturnTimes, given: readonly { absence: number; current: number; steps: number }[]) => {
  for (const { absence, current, steps } of given)
    if (steps === 0) times.ended(at(absence, current));
    else times.returned(at(absence, current), steps);
};

const sure = (bucket: number) => Float64Array.from({ length: BUCKETS }, (_, i) => (i === bucket ? 1 : 0));

describe("buckets of return times", () => {
  test("hold every number of steps, in order", () => {
    const buckets = Array.from({ length: 100 }, (_, i) => bucketOf(i + 1));
    expect(buckets.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 4, 5, 5, 5, 6]);
    expect(buckets).toEqual(buckets.toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toBe(NEVER - 1);
  });
});

/** What survives a return at once, and any later one. */
const kept = (now: number, later: number) => Float64Array.of(now, ...Array<number>(RETURNS - 1).fill(later));

describe("the hit-rate index", () => {
  test("of a certain return is one over its steps, and of none is 0", () => {
    expect(hitRateIndex(sure(0), kept(1, 1), 0)).toBe(1);
    expect(hitRateIndex(sure(3), kept(1, 1), 0)).toBeCloseTo(1 / 4, 12);
    expect(hitRateIndex(sure(NEVER), kept(1, 1), 0)).toBe(0);
  });

  test("stops keeping what is unlikely after its best chance", () => {
    // Half the time at the next step, else never: 1/2 a step for one step beats any longer wait.
    const half = sure(0).map((value, i) => (i === NEVER ? 0.5 : value / 2));
    expect(hitRateIndex(half, kept(1, 1), 0)).toBeCloseTo(0.5, 12);
  });

  test("counts an absence from its beginning", () => {
    // Two steps on the whole: one has gone by.
    expect(hitRateIndex(sure(0), kept(1, 0.5), 1)).toBeCloseTo(0.5, 12);
  });

  test("counts only returns that find the prefix unchanged", () => {
    expect(hitRateIndex(sure(0), kept(0.25, 1), 0)).toBeCloseTo(0.25, 12);
    expect(hitRateIndex(sure(1), kept(1, 0.5), 0)).toBeCloseTo(0.25, 12);
  });
});

describe("return times", () => {
  test("are probabilities, whatever was seen", () => {
    fc.assert(
      fc.property(
        samples,
        fc.nat(30),
        fc.option(fc.double({ min: 0, max: 0.99, noNaN: true })),
        (given, absence, next) => {
          const times = new ReturnTimes();
          learn(times, given);
          const out = distribution(times, at(absence, 3), next ?? undefined);
          expect(sum(out)).toBeCloseTo(1, 6);
          expect(Math.min(...out)).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });

  test("rank like LRU before anything is known: the longer away, the less is expected", () => {
    const times = new ReturnTimes();
    const values = Array.from({ length: 12 }, (_, absence) =>
      hitRateIndex(distribution(times, at(absence, 3)), kept(1, 1), absence),
    );
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(new Set(values).size).toBe(values.length);
  });

  test("become what happens, by where the run is", () => {
    const times = new ReturnTimes();
    for (let i = 0; i < 200; i++) {
      times.returned(at(1, 5), 1);
      times.returned(at(1, 6), 4);
    }
    expect(distribution(times, at(1, 5))[0]).toBeGreaterThan(0.95);
    expect(distribution(times, at(1, 6))[bucketOf(4)]).toBeGreaterThan(0.95);
    expect(STEPS[bucketOf(4)]).toBe(4);
  });

  test.each([
    { what: "that ask for tools", one: answerOf(true, undefined), other: answerOf(false, undefined) },
    { what: "that are short", one: answerOf(undefined, 5), other: answerOf(undefined, 300) },
  ])("tell answers $what from others", ({ one, other }) => {
    const times = new ReturnTimes();
    for (let i = 0; i < 100; i++) {
      times.returned(at(0, 3, one), 1);
      times.returned(at(0, 3, other), 2);
    }
    expect(distribution(times, at(0, 3, one))[0]).toBeGreaterThan(0.8);
    expect(distribution(times, at(0, 3, other))[0]).toBeLessThan(0.2);
  });

  test("tell calls in a row from each other, and whom they follow", () => {
    const times = new ReturnTimes();
    // After agent 5 it calls four times, after agent 6 twice; then others do.
    for (let i = 0; i < 100; i++) {
      for (const turns of [1, 2, 3]) times.returned(row(turns, 5), 1);
      times.returned(row(4, 5), 3);
      times.returned(row(1, 6), 1);
      times.returned(row(2, 6), 3);
    }
    for (const again of [row(2, 5), row(3, 5), row(1, 6)])
      expect(distribution(times, again)[0]).toBeGreaterThan(0.9);
    for (const done of [row(4, 5), row(2, 6)]) {
      expect(distribution(times, done)[bucketOf(3)]).toBeGreaterThan(0.9);
      expect(times.next(done)).toBeLessThan(0.1);
    }
  });

  test("of a call under way are those after any answer", () => {
    const times = new ReturnTimes();
    // Runs whose last answer never came ended; that tells nothing of a call whose answer is still to come.
    for (let i = 0; i < 90; i++) times.returned(at(0, 3, answerOf(true, 100)), 1);
    for (let i = 0; i < 10; i++) times.ended(at(0, 3));
    expect(distribution(times, at(0, 3))[0]).toBeGreaterThan(0.8);
    expect(distribution(times, at(0, 3))[NEVER]).toBeGreaterThan(0.05);
  });

  test("keep contexts apart up to the last agent that has a number", () => {
    const last = { ...at(12, 127, answerOf(true, 1e6)), agent: 127, previous: 127, before: 127 };
    const times = new ReturnTimes();
    times.returned(last, 3);
    const copy = new ReturnTimes();
    copy.restore(times.snapshot(), (agent) => agent);
    expect(copy.snapshot()).toBe(times.snapshot());
    expect(distribution(copy, last)).toEqual(distribution(times, last));
    // One agent less in any place is another context: only what holds for any agent is known of it.
    const unknown = distribution(times, { ...last, agent: 126 });
    for (const other of [{ current: 126 }, { previous: 126 }, { answer: answerOf(true, 5) }])
      expect(distribution(times, { ...last, ...other })).not.toEqual(distribution(times, last));
    expect(unknown[bucketOf(3)]).toBeLessThan(distribution(times, last)[bucketOf(3)] ?? 0);
  });

  test("of any agent are kept first where there is no room for all", () => {
    const times = new ReturnTimes();
    const away = at(2, 5);
    // Those of any agent are halved, since they are full: agent 3 alone then has more samples.
    times.returned({ ...away, agent: 3 }, 12, 400);
    times.returned({ ...away, agent: 4 }, 12, 250);
    const copy = new ReturnTimes();
    copy.restore(times.snapshot(20), (agent) => agent);
    for (const known of [times, copy])
      expect(distribution(known, { ...away, agent: 60 })[bucketOf(12)]).toBeGreaterThan(0.9);
    expect(copy.snapshot().length).toBeLessThanOrEqual(20);
  });

  test("of two processes add up, in either order", () => {
    fc.assert(
      fc.property(samples, samples, (one, two) => {
        const merged = ([...parts]: (typeof one)[]) => {
          const total = new ReturnTimes();
          for (const part of parts) {
            const times = new ReturnTimes();
            learn(times, part);
            total.restore(times.snapshot(), (agent) => agent);
          }
          return total.snapshot();
        };
        const together = new ReturnTimes();
        learn(together, [...one, ...two]);
        expect(merged([one, two])).toBe(merged([two, one]));
        expect(merged([one, two])).toBe(together.snapshot());
      }),
    );
  });
});
