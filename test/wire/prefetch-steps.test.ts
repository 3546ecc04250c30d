import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Event } from "../../src/runtime/event.ts";
import { PrefetchSteps } from "../../src/wire/prefetch-steps.ts";

/** Calls of 10 ms each, so many milliseconds of idle time between them; steps of 64 tokens took so long. */
function after({
  idleMs,
  tokenMs,
  ownMs = 4,
  calls = 20,
}: Record<string, number> & { idleMs: number; tokenMs: number }) {
  let now = 0;
  const steps = new PrefetchSteps(512, () => now);
  const tell = (type: "request-start" | "request-end", request: string) =>
    steps.observe({ type, request, at: now, agent: "a", run: "r", namespace: "" } as unknown as Event);
  for (let call = 0; call < calls; call++) {
    now += idleMs;
    tell("request-start", `${call}`);
    now += 10;
    tell("request-end", `${call}`);
  }
  steps.computed(64, 64 * tokenMs, 64 * tokenMs + ownMs);
  return { steps, wait: (ms: number) => (now += ms) };
}

test("the first step is a short one, since nobody knows what it costs", () => {
  expect(new PrefetchSteps(512, () => 0).next(1)).toBe(64);
});

test("a step is as long as pays best, between the shortest and the longest", () => {
  // One call in 100 ms of idle time: sqrt(2 * 0.5 * 4 ms * 100 ms) is 20 ms, at 0.2 ms a token.
  expect(after({ idleMs: 100, tokenMs: 0.2 }).steps.next(0.5)).toBe(100);
  expect(after({ idleMs: 10_000, tokenMs: 0.2 }).steps.next(0.5)).toBe(512);
  expect(after({ idleMs: 20, tokenMs: 0.2 }).steps.next(0.5)).toBe(64);
});

test("none is taken where calls come so often that they wait longer than it saves", () => {
  // 64 tokens take 12.8 ms, and 6.4 ms is what a call waits on average.
  const { steps, wait } = after({ idleMs: 8, tokenMs: 0.2 });
  expect(steps.next(0.5)).toBe(0);
  expect(steps.next(0.9)).toBe(64);
  // Time passes and nobody calls: it pays again.
  wait(5000);
  expect(steps.next(0.5)).toBeGreaterThan(64);
});

test("what is likelier is never refused before what is less likely, and steps grow with it", () => {
  const number = fc.double({ min: 0.01, max: 1, noNaN: true });
  fc.assert(
    fc.property(number, number, fc.integer({ min: 1, max: 5000 }), number, (a, b, idleMs, tokenMs) => {
      const { steps } = after({ idleMs, tokenMs });
      const [less, more] = [steps.next(Math.min(a, b)), steps.next(Math.max(a, b))];
      expect(less).toBeLessThanOrEqual(more);
      for (const step of [less, more]) expect(step === 0 || (step >= 64 && step <= 512)).toBe(true);
    }),
  );
});
