import * as fc from "fast-check";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { expect, test } from "vitest";
import { countsOf } from "../../src/learn/exchange.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";

const CALLS = 1500;
const CALLS_A_RUN = 20;

/** What a process has learned whose agents call at random, about so many things each; more calls than any count takes in full. */
function learned(agents: readonly string[], seed: number, talks: number): LearnedPredictor {
  const predictor = new LearnedPredictor();
  const random = xoroshiro128plus(seed);
  for (let call = 0; call < CALLS; call++) {
    const agent = agents[uniformInt(random, 0, agents.length - 1)] as string;
    const run = String(Math.floor(call / CALLS_A_RUN));
    const talk = `${run} ${agent} ${uniformInt(random, 0, talks - 1)}`;
    const prompt = { anchor: { hash: agent, length: 400 }, history: [{ hash: talk, length: 100 }] };
    const of = { at: 0, run, agent, namespace: agent, request: String(call) };
    predictor.observe({ type: "request-start", ...of, step: call, prompt });
    if (call % CALLS_A_RUN === CALLS_A_RUN - 1)
      predictor.observe({ type: "run-end", at: 0, run, status: "completed" });
  }
  return predictor;
}

const merged = (...states: readonly unknown[]) => {
  const predictor = new LearnedPredictor();
  for (const state of states) predictor.restore(state);
  return new Map([...countsOf(predictor.snapshot())].toSorted());
};

test("states merge to the same in any order, also where their counts are full and their agents are numbered differently", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.integer({ min: 1, max: 3 }), (one, other, talks) => {
      const a = learned(["planner", "coder"], one, talks).snapshot();
      const b = learned(["coder", "planner"], other, talks).snapshot();
      expect(a.branches !== undefined).toBe(talks > 1);
      expect(merged(a, b)).toEqual(merged(b, a));
    }),
    { numRuns: 20 },
  );
});
