import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EngineWatch } from "../../src/dashboard/engine-watch.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watching() {
  const signals: AbortSignal[] = [];
  const status = (signal?: AbortSignal) => {
    if (signal) signals.push(signal);
    if (signals.length < 3) return Promise.resolve({ capacityTokens: 16 });
    return new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  };
  const watch = new EngineWatch({ adapter: { status }, now: () => 0, onStatus: () => {}, everyMs: 100 });
  return { signals, watch };
}

test("an engine that is asked for days leaves nothing behind with each question", async () => {
  const any = vi.spyOn(AbortSignal, "any");
  const { signals, watch } = watching();
  await vi.advanceTimersByTimeAsync(150);
  expect(signals).toHaveLength(2);
  expect(watch.health.state).toBe("up");
  // What node keeps of a combined signal in a signal that lives long is never let go.
  expect(any).not.toHaveBeenCalled();
  watch.stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("one that does not answer in time is down, is asked again, and is let go when nobody looks any more", async () => {
  const { signals, watch } = watching();
  await vi.advanceTimersByTimeAsync(250);
  expect(watch.health.state).toBe("up");
  await vi.advanceTimersByTimeAsync(2000);
  expect(watch.health).toMatchObject({ state: "down", failure: "TimeoutError" });
  await vi.advanceTimersByTimeAsync(100);
  expect(signals).toHaveLength(4);
  watch.stop();
  expect(signals[3]?.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(5000);
  expect(signals).toHaveLength(4);
});
