import { expect, test } from "vitest";
import { fittingModel } from "../../src/demo/fitting-model.ts";
import { presets } from "../../src/embedded/model/presets.ts";

test("the demo's model is the largest preset that is fast enough here, or the smallest of all", async () => {
  const { model, prefillMs } = await fittingModel(new AbortController().signal);
  const names = Object.keys(presets);
  expect(names).toContain(model);
  expect(prefillMs).toBeGreaterThan(0);
  expect(model === names[0] || prefillMs <= 100).toBe(true);
});

test("choosing it ends with the signal", async () => {
  const signal = AbortSignal.abort(new Error("Ctrl-C"));
  await expect(fittingModel(signal)).rejects.toThrow("Ctrl-C");
});
