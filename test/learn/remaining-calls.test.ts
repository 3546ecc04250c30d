import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RemainingCalls, remainingState } from "../../src/learn/remaining-calls.ts";
import { END, START } from "../../src/runtime/event.ts";

/** Tells of calls: agents of one inner list are at work in the same superstep. */
function play(remaining: RemainingCalls, run: string, supersteps: readonly (readonly string[])[]): void {
  for (const [step, agents] of supersteps.entries())
    for (const agent of agents)
      remaining.observe({
        type: "request-start",
        at: 0,
        run,
        agent,
        namespace: agent,
        step,
        request: `${run}${step}${agent}`,
        prompt: { anchor: { hash: "", length: 0 }, history: [] },
      });
  remaining.observe({ type: "run-end", at: 0, run, status: "completed" });
}

const edge = (from: string, to: string, weight = 1) => ({ from, to, weight });

test("of a declared graph: the longest of branches at once, the mean of those that exclude each other", () => {
  const remaining = new RemainingCalls();
  remaining.observe({
    type: "topology",
    at: 0,
    graph: "g",
    agents: ["short", "long", "more", "join", "maybe"],
    edges: [
      edge(START, "short"),
      edge(START, "long"),
      edge("short", "join"),
      edge("long", "more"),
      edge("more", "join"),
      edge("join", "maybe", 0.5),
      edge("join", END, 0.5),
      edge("maybe", END),
    ],
  });
  const left = ["maybe", "join", "short", "more", "long", "unknown"].map((agent) => remaining.of(agent));
  expect(left).toEqual([1, 1.5, 2.5, 2.5, 3.5, 1]);
});

test("learned along the path: siblings do not follow each other, and calls of one agent count one by one", () => {
  const remaining = new RemainingCalls();
  for (let i = 0; i < 200; i++) play(remaining, `${i}`, [["short", "long"], ["more"], ["join"]]);
  // Nobody sees which sibling led to `more`: both did.
  expect(remaining.of("join")).toBeCloseTo(1);
  expect(remaining.of("more")).toBeCloseTo(2);
  expect(remaining.of("short")).toBeCloseTo(3);
  for (let i = 0; i < 400; i++) play(remaining, `again ${i}`, [["coder"], ["coder"], ["coder"], ["join"]]);
  // Without memory of the calls before: 1 + 1 of the join + 2 expected of three equally long parts.
  expect(remaining.of("coder")).toBeGreaterThan(3);
  expect(remaining.of("coder")).toBeLessThan(5);
});

test("whatever happens it is finite, at least 1, and comes back from JSON", () => {
  const agent = fc.constantFrom("a", "b", "c", "__proto__");
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.array(agent, { maxLength: 3 }), { maxLength: 8 }), { maxLength: 10 }),
      (runs) => {
        const remaining = new RemainingCalls();
        for (const [i, supersteps] of runs.entries()) play(remaining, `${i}`, supersteps);
        for (const name of ["a", "b", "c", "__proto__"]) {
          expect(remaining.of(name)).toBeGreaterThanOrEqual(1);
          expect(remaining.of(name)).toBeLessThan(1000);
        }
        const restored = new RemainingCalls();
        restored.restore(remainingState.parse(JSON.parse(JSON.stringify(remaining.snapshot()))));
        expect(restored.snapshot()).toEqual(remaining.snapshot());
      },
    ),
  );
});
