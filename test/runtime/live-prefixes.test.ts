import { expect, test } from "vitest";
import { prefixId } from "../../src/runtime/action.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";
import { App } from "./app.ts";

const prefixesOn = (branch = 0) =>
  new LivePrefixes({ tokens: (characters) => characters, branch: () => branch });

test("of agents whose names are made up as they go the anchors used last are kept, and the others released", () => {
  const app = new App();
  const prefixes = prefixesOn();
  for (let run = 0; run < 300; run++)
    for (const event of app.run(`${run}`, "planner", `worker ${run}`)) {
      prefixes.observe(event);
      if (event.type === "run-end") prefixes.end(event.run);
    }
  const kept = Array.from(prefixes.anchors(), ({ agent }) => agent);
  expect(kept).toHaveLength(256);
  expect(kept).toContain("planner");
  expect(kept).toContain("worker 299");
  const released = prefixes.takeReplaced().map(prefixId);
  expect(released).toHaveLength(301 - 256);
  expect(released.slice(0, 2)).toEqual(["anchor/worker 0", "anchor/worker 1"]);
});

test("a thread that goes on for ever keeps the prefixes of the agents that it used last, and releases the others", () => {
  const app = new App();
  const prefixes = prefixesOn();
  for (let run = 0; run < 300; run++) {
    const agents = [app.call(`${run}`, "planner"), app.call(`${run}`, `worker ${run}`)];
    for (const event of [app.start(`${run}`, "chat"), ...agents, app.end(`${run}`, "completed", "chat")])
      prefixes.observe(event);
  }
  const kept = prefixes.of("299").map(prefixId);
  expect(kept).toHaveLength(256);
  expect(kept).toContain("run/299/planner");
  expect(kept).toContain("run/299/worker 299");
  expect(prefixes.takeReplaced().map(prefixId)).toContain("run/0/worker 0");
});

test("the branch of a request whose end is never seen is forgotten when there are many", () => {
  const app = new App();
  const prefixes = prefixesOn(1);
  const branchOf = (request: number) =>
    prefixes.promptOf({ agent: "a", run: "1", namespace: "a" }, `request-${request}`).branch;
  for (let i = 0; i <= 10_000; i++) prefixes.observe(app.call(`${i}`, "a"));
  expect([branchOf(1), branchOf(2), branchOf(10_001)]).toEqual([undefined, 1, 1]);
});
