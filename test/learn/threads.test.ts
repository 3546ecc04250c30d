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
