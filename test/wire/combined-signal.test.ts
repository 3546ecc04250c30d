import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { combineSignals } from "../../src/wire/combined-signal.ts";

test("aborts with any of its signals, also one that has aborted already", () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const combined = combineSignals(first.signal, undefined, second.signal);
  expect(combined.signal.aborted).toBe(false);
  second.abort();
  expect(combined.signal.aborted).toBe(true);
  expect(combineSignals(second.signal).signal.aborted).toBe(true);
});

test("many at once on a signal that lives long are neither kept nor warned about", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  const closing = new AbortController();
  const all = Array.from({ length: 50 }, () => combineSignals(closing.signal, new AbortController().signal));
  expect(getEventListeners(closing.signal, "abort")).toHaveLength(50);
  for (const { release } of all) release();
  expect(getEventListeners(closing.signal, "abort")).toHaveLength(0);
  await new Promise(setImmediate);
  process.off("warning", listen);
  expect(warnings).toEqual([]);
});
