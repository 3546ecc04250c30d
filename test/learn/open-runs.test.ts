import { expect, test } from "vitest";
import { OpenRuns } from "../../src/learn/open-runs.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import { RunState } from "../../src/learn/run-state.ts";
import type { Event } from "../../src/runtime/event.ts";
import { App } from "../runtime/app.ts";

test("a run that has to leave takes what it had inherited with it", () => {
  const dropped: RunState[] = [];
  const runs = new OpenRuns((state) => dropped.push(state));
  const heir = runs.open("heir");
  heir.inherits = ["earlier"];
  runs.inherit(heir);
  expect(runs.holder("earlier")).toBe(heir);
  for (let run = 0; run < 10_000; run++) runs.open(`${run}`);
  expect(dropped).toEqual([heir]);
  expect(runs.holder("earlier")).toBeUndefined();
});

test("of a thread that goes on for ever the prompts of its newest runs are expected again", () => {
  const app = new App();
  const predictor = new LearnedPredictor();
  const play = (run: number, ...agents: string[]) => {
    // All prompts of the thread go on from each other.
    const calls = agents.map((agent): Event => ({ ...app.call("chat", agent), run: `${run}` }) as Event);
    for (const event of [app.start(`${run}`, "chat"), ...calls]) predictor.observe(event);
    const values = ["0", "1"].map((earlier) => predictor.reuse({ agent: "once", run: earlier }));
    predictor.observe(app.end(`${run}`, "completed", "chat"));
    return values;
  };
  for (let run = 0; run < 256; run++) play(run, "again", ...(run < 2 ? ["once"] : []));
  expect(Math.min(...play(256, "again"))).toBeGreaterThan(0);
  const [first, second] = play(257, "again");
  expect(first).toBe(0);
  expect(second).toBeGreaterThan(0);
});

test("of activations whose end is never seen the newest are remembered", () => {
  const state = new RunState();
  for (let i = 0; i <= 10_000; i++) state.started(`${i}`, "agent");
  expect(state.stopped("0")).toBeUndefined();
  expect(state.stopped("1")?.agent).toBe("agent");
});
