import { array, assert, constantFrom, integer, nat, oneof, property, tuple } from "fast-check";
import { expect, test } from "vitest";
import { countsOf, stateOf } from "../../src/learn/exchange.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { type Event, START } from "../../src/runtime/event.ts";
import { App } from "../runtime/app.ts";
import { Talks } from "./talks.ts";

const agents = ["planner", "coder", "tester", "re/viewer", '"quoted"', "__end__?"] as const;
const someRuns = array(array(constantFrom(...agents), { minLength: 1, maxLength: 8 }), {
  minLength: 1,
  maxLength: 6,
});

/** Of an app whose agents each go to and fro between two conversations. */
const someTalks = array(array(tuple(constantFrom(...agents), nat(1)), { minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 6,
});

function played(runs: readonly (readonly string[])[]): readonly Event[] {
  const app = new App();
  return runs.flatMap((run, i) => app.run(`${i}`, ...run));
}

function talked(runs: readonly (readonly (readonly [string, number])[])[]): readonly Event[] {
  const talks = new Talks();
  return runs.flatMap((calls, i) => [
    talks.run(`${i}`, "run-start"),
    ...calls.map(([agent, talk]) => talks.call(`${i}`, agent, `${talk}`)),
    talks.run(`${i}`, "run-end"),
  ]);
}

const someEvents = oneof(someRuns.map(played), someTalks.map(talked));

function learned(events: readonly Event[]): LearnedPredictor {
  const predictor = new LearnedPredictor();
  for (const event of events) predictor.observe(event);
  return predictor;
}

const sorted = (counts: Iterable<readonly [string, number]>) => Object.fromEntries([...counts].toSorted());
const name = (...path: readonly unknown[]) => JSON.stringify(path);

test("counts by name become the same state again, however it numbers its agents", () => {
  assert(
    property(someEvents, (events) => {
      const counts = countsOf(learned(events).snapshot());
      expect(sorted(countsOf(stateOf(counts)))).toEqual(sorted(counts));
      const restored = new LearnedPredictor();
      restored.restore(stateOf(new Map([...counts].toReversed())));
      expect(sorted(countsOf(restored.snapshot()))).toEqual(sorted(counts));
    }),
    { seed: 1 },
  );
});

test("parts taken at any moments add up to the whole", () => {
  assert(
    property(someEvents, integer({ min: 1, max: 9 }), (events, every) => {
      const whole = countsOf(learned(events).snapshot());
      const counter = new LearnedPredictor({ forgets: false });
      const sum = new Map<string, number>();
      for (const [i, event] of events.entries()) {
        counter.observe(event);
        if (i % every !== 0 && i < events.length - 1) continue;
        for (const [path, count] of countsOf(counter.take())) sum.set(path, (sum.get(path) ?? 0) + count);
      }
      expect(sorted(sum)).toEqual(sorted(whole));
      expect(countsOf(counter.take()).size).toBe(0);
    }),
    { seed: 1 },
  );
});

test("of three agents in one superstep each is counted once in three runs, whenever it is taken", () => {
  const counter = new LearnedPredictor({ forgets: false });
  const app = new App();
  let counted = 0;
  for (let run = 0; run < 30; run++) {
    const events = [app.start(`${run}`), app.call(`${run}`, "a", 1), app.call(`${run}`, "b", 1)];
    for (const event of [...events, app.call(`${run}`, "c", 1), app.call(`${run}`, "d", 2)])
      counter.observe(event);
    counted += countsOf(counter.take()).get(name("transitions", "a", "d")) ?? 0;
  }
  expect(counted).toBe(10);
});

test("large counts are scaled down together, so that shares stay what they are", () => {
  const counts = new Map([
    [name("transitions", START, "a"), 30_000],
    [name("transitions", START, "b"), 10_000],
    [name("survival", "a", "now", "samples"), 10_000],
    [name("survival", "a", "now", 3), 5000],
    [name("branch returns", 1, "a", 2, 3, "b", "c", 0), 900],
    [name("branch returns", 1, "a", 2, 3, "b", "c", 4), 100],
    [name("branches", "a", "left"), 2000],
    [name("branches", "a", "resumed"), 1],
  ]);
  const scaled = countsOf(stateOf(counts));
  expect(scaled.get(name("transitions", START, "a"))).toBe(375);
  expect(scaled.get(name("transitions", START, "b"))).toBe(125);
  expect(scaled.get(name("survival", "a", "now", 3))).toBe(250);
  expect(scaled.get(name("branch returns", 1, "a", 2, 3, "b", "c", 0))).toBe(450);
  expect(scaled.get(name("branch returns", 1, "a", 2, 3, "b", "c", 4))).toBe(50);
  // These two are no shares.
  expect(scaled.get(name("branches", "a", "left"))).toBe(2000);
  expect(scaled.get(name("branches", "a", "resumed"))).toBe(1);
});

test("what is no name of a count is left out", () => {
  const odd = ["", "{", "[]", "[1]", "null", '["transitions"]', '["later version",{}]', '["gaps",0,-1]'];
  const later = [
    name("pairs", "a", "b", "later", "c"),
    name("returns", 1, "a", 0, "b", "c", "later", 0),
    name("returns", 1, "a", "later", "b", "c", 0),
    name("branch returns", 1, "a", "later", 0, "b", "c", 0),
    name("branches", "a", "later"),
    name("branch times", "a", 1, 0),
  ];
  const state = stateOf(new Map([...odd, ...later].map((text) => [text, 1])));
  expect(() => new LearnedPredictor().restore(state)).not.toThrow();
  expect(countsOf(state).size).toBe(0);
});
