import { expect, test } from "vitest";
import { Sessions } from "../../src/wire/sessions.ts";

test("of runs whose end is never seen the sessions of the newest are known", () => {
  const sessions = new Sessions();
  for (let run = 0; run <= 10_000; run++)
    sessions.observe({ type: "run-start", at: run, run: `${run}`, session: `thread ${run}` });
  expect(["0", "1", "10000"].map((run) => sessions.of({ run }))).toEqual(["0", "thread 1", "thread 10000"]);
});
