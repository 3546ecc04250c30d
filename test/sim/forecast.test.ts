import { expect, test } from "vitest";
import { summariseForecast } from "../../src/sim/inspect/forecast.ts";
import { written } from "./written-schedule.ts";

test("the learner names the next agent of a pipeline once it has seen it", () => {
  // 60 runs of plan, code, test: two changes of agent each. Only the first run's are not known beforehand.
  const runs = Array.from({ length: 60 }, (_, run) => `${run}:plan:a ${run}:code:b ${run}:test:c`);
  const forecast = summariseForecast(written(runs.join(" ")));
  expect(forecast.switches).toBe(120);
  expect(forecast.top1).toBeGreaterThan(0.97);
  expect(forecast.calibration_error).toBeLessThan(0.1);
});

test("who never changes is not asked about", () => {
  expect(summariseForecast(written("1:a:x 1:a:y 1:a:z"))).toMatchObject({ switches: 0, top1: null });
});
