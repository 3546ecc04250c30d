import { expect, test } from "vitest";
import { classOf, CLASSES, Revisits } from "../../src/learn/revisits.ts";

/** A document of ten blocks that a run comes to every `every` calls, `runs` times, among others that come once. */
function asked(runs: number, every: number): Revisits {
  const revisits = new Revisits();
  for (let run = 0; run < runs; run++) {
    revisits.came(run, run === 0 ? 0 : every, 10);
    revisits.came(0, 0, 10);
  }
  return revisits;
}

test("numbers of runs are told apart by doublings", () => {
  expect([0, 1, 2, 3, 4, 5, 8, 9, 256, 257, 1e9].map(classOf)).toEqual([0, 0, 1, 2, 2, 3, 3, 4, 8, 9, 9]);
  expect(classOf(1e9)).toBe(CLASSES - 1);
});

test("nothing is expected before any run has come to what another had used", () => {
  const revisits = new Revisits();
  for (let run = 0; run < 100; run++) revisits.came(0, 0, 10);
  for (let found = 0; found < CLASSES; found++) expect(revisits.value(found, 1, 8)).toBe(0);
});

test("what many runs have come to is worth more than what one has", () => {
  const revisits = asked(100, 4);
  expect(revisits.value(classOf(100), 1, 8)).toBeGreaterThan(10 * revisits.value(classOf(1), 1, 8));
});

test("what comes every few calls is worth little when it has not come for long", () => {
  const revisits = asked(100, 4);
  expect(revisits.value(classOf(100), 1, 8)).toBeGreaterThan(2 * revisits.value(classOf(100), 400, 8));
});

test("what comes more often is worth more, and the more runs are open, the more come in a round", () => {
  const found = classOf(100);
  expect(asked(100, 4).value(found, 1, 8)).toBeGreaterThan(asked(100, 40).value(found, 1, 8));
  expect(asked(100, 40).value(found, 1, 32)).toBeGreaterThan(asked(100, 40).value(found, 1, 8));
});

test("follows a workload in which nothing comes again any more", () => {
  const revisits = asked(100, 4);
  const before = revisits.value(0, 1, 8);
  for (let run = 0; run < 100_000; run++) revisits.came(0, 0, 10);
  expect(revisits.value(0, 1, 8)).toBeLessThan(before / 100);
});
