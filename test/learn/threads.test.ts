import { expect, test } from "vitest";
import { RunState } from "../../src/learn/run-state.ts";
import { Threads } from "../../src/learn/threads.ts";

const paused = (session: string, since: number, isInterrupted = false) => ({
  session,
  state: new RunState(),
  isInterrupted,
  since,
});

test("how often threads return is learned apart for completed and interrupted runs", () => {
  const threads = new Threads();
  for (let i = 0; i < 20; i++) {
    threads.pause(`job ${i}`, paused(`job ${i}`, i));
    threads.pause(`ask ${i}`, paused(`ask ${i}`, i, true));
    expect(threads.resume(`ask ${i}`, i + 1000)?.isInterrupted).toBe(true);
  }
  expect(threads.probability(false)).toBeLessThan(0.02);
  expect(threads.probability(true)).toBeGreaterThan(0.95);
});

test("a thread is resumed once, and what ended longest ago is forgotten first", () => {
  const threads = new Threads();
  threads.pause("1", paused("chat", 0));
  expect(threads.resume("chat", 5)).toBeDefined();
  expect(threads.resume("chat", 6)).toBeUndefined();
  for (let i = 0; i < 1500; i++) threads.pause(`run ${i}`, paused(`thread ${i}`, i));
  expect(threads.find("run 0")).toBeUndefined();
  expect(threads.find("run 1499")).toBeDefined();
});

test("what was learned survives a snapshot", () => {
  const threads = new Threads();
  threads.pause("1", paused("chat", 0));
  threads.resume("chat", 5000);
  const restored = new Threads();
  restored.restore(threads.snapshot());
  expect(restored.probability(false)).toBe(threads.probability(false));
});

test("a thread that has waited for twice as long as nearly all did is not expected any more, until it comes", () => {
  const threads = new Threads();
  for (let i = 0; i < 10; i++) {
    threads.pause(`run ${i}`, paused(`chat ${i}`, 1000 * i));
    threads.resume(`chat ${i}`, 1000 * i + 100);
  }
  const before = threads.probability(false);
  threads.pause("run 10", paused("late", 20_000));
  // Nobody knows yet.
  threads.pause("run 11", paused("other", 20_100));
  expect(threads.probability(false)).toBe(before);
  threads.pause("run 12", paused("another", 20_400));
  const without = threads.probability(false);
  expect(without).toBeLessThan(0.9 * before);
  threads.resume("late", 30_000);
  expect(threads.probability(false)).toBeGreaterThan(without);
});

test("a paused thread is expected less and less, and what becomes of that is told beforehand", () => {
  const threads = new Threads();
  for (let i = 0; i < 20; i++) {
    threads.pause(`run ${i}`, paused(`chat ${i}`, 10_000 * i));
    if (i % 2 === 0) threads.resume(`chat ${i}`, 10_000 * i + 1000 + 50 * i);
  }
  const chat = paused("chat", 300_000);
  threads.pause("run", chat);
  const times = { tick: 10, step: 500 };
  const rateAfter = (elapsed: number) => threads.rate(chat, chat.since + elapsed, times);
  // Half of them come back within two seconds.
  expect(rateAfter(1000)).toBeGreaterThan(rateAfter(0));
  expect(rateAfter(10_000)).toBeLessThan(rateAfter(0) / 10);
  const outlook = threads.outlook(chat, chat.since, times);
  expect(outlook.length).toBeGreaterThan(2);
  for (const [afterMs, factor] of outlook) expect(rateAfter(afterMs)).toBeCloseTo(factor * rateAfter(0), 9);
  // Half of them never do: in the end hardly anything is expected.
  expect(outlook.at(-1)?.[1]).toBeLessThan(0.01);
  expect(threads.outlook(chat, chat.since, undefined)).toEqual([]);
});

test("what was seen long ago counts less than what is seen now", () => {
  const threads = new Threads();
  const play = (from: number, count: number, returns: boolean) => {
    for (let i = from; i < from + count; i++) {
      threads.pause(`run ${i}`, paused(`chat ${i}`, 1000 * i));
      if (returns) threads.resume(`chat ${i}`, 1000 * i + 100);
    }
  };
  play(0, 5000, true);
  expect(threads.probability(false)).toBeGreaterThan(0.98);
  expect(threads.snapshot()[0]?.[0]).toBeLessThan(600);
  play(5000, 600, false);
  expect(threads.probability(false)).toBeLessThan(0.5);
});
