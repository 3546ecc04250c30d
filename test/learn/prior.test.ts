import { expect, test } from "vitest";
import { StructuralPrior } from "../../src/learn/prior.ts";
import { END, START, type TopologyEvent } from "../../src/runtime/event.ts";

/** A graph that begins with `first` and then goes to `second`. */
const graphOf = (first: string, second: string): TopologyEvent => ({
  type: "topology",
  at: 0,
  graph: "graph",
  agents: [first, second],
  edges: [
    { from: START, to: first, weight: 1 },
    { from: first, to: second, weight: 1 },
    { from: second, to: END, weight: 1 },
  ],
});

test("nodes that make no model call are walked through, until they make one", () => {
  const prior = new StructuralPrior();
  prior.declare(graphOf("router", "writer"));
  prior.activated("router", false);
  expect([...prior.after(START)]).toEqual([["writer", 1]]);
  const { version } = prior;
  prior.activated("router", false);
  prior.activated("writer", true);
  expect(prior.version).toBe(version);
  prior.activated("router", true);
  prior.activated("router", false);
  expect([...prior.after(START)]).toEqual([["router", 1]]);
});

test("of agents whose names are made up as they go those seen last are known to make no model call", () => {
  const prior = new StructuralPrior();
  for (let i = 0; i <= 1000; i++) prior.activated(`worker ${i}`, false);
  const isSilent = ["worker 0", "worker 1", "worker 1000"].map((agent) => prior.isSilent(agent));
  expect(isSilent).toEqual([false, true, true]);
});

test("graphs whose nodes have new names each time do not add up for ever, and what is known stays", () => {
  const prior = new StructuralPrior();
  prior.declare(graphOf("planner", "writer"));
  for (let i = 0; i < 17_000; i++) prior.declare(graphOf("planner", `worker ${i}`));
  expect(prior.after("worker 16999").size).toBe(0);
  expect(prior.after("planner").size).toBe(128);
  expect(prior.after("worker 0").size).toBe(1);
  prior.declare(graphOf("planner", "writer"));
  expect([...prior.after("writer")]).toEqual([[END, 1]]);
});
