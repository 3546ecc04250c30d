import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import admission from "../../src/policies/admission.ts";
import prefixCache from "../../src/policies/prefix-cache.ts";
import speculation from "../../src/policies/speculation.ts";
import type { Event } from "../../src/runtime/event.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";
import { App } from "../runtime/app.ts";

/** Far more than anything is remembered of. */
const MANY = 20_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Bytes that each of many leaves behind, once what is remembered is there. */
function leftBehind(observe: (event: Event) => void, events: (i: number) => readonly Event[]): number {
  for (let i = 0; i < MANY; i++) for (const event of events(i)) observe(event);
  const before = heap();
  for (let i = MANY; i < 2 * MANY; i++) for (const event of events(i)) observe(event);
  const grown = heap() - before;
  // It lives until here.
  observe({ type: "run-end", at: 0, run: "", status: "completed" });
  return grown / MANY;
}

function context<Options>(options: Options) {
  const predictor = new LearnedPredictor();
  return { options, clock: { now: () => 0 }, predictor, prefixes: new LivePrefixes(predictor) };
}

test("runs that never end leave nothing behind in prefix-cache", () => {
  const app = new App();
  const policy = prefixCache.create(context(prefixCache.options.parse({})));
  const left = leftBehind(
    (event) => policy.observe?.(event),
    (i) => {
      const place = { run: `run ${i}`, agent: "a", namespace: "a", request: `${i}` };
      const usage = { promptTokens: 1000, cachedTokens: 500 };
      const prompt = { anchor: { hash: "a", length: 4000 }, history: [] };
      return [
        { type: "request-start", at: ++app.time, ...place, prompt },
        { type: "request-end", at: ++app.time, ...place, status: "completed", usage },
      ];
    },
  );
  // 160 when each leaves something; of the others 70.
  expect(left).toBeLessThan(30);
});

test("activations of a run that never ends leave nothing behind in admission", () => {
  const policy = admission.create(context(admission.options.parse({})));
  const left = leftBehind(
    (event) => policy.observe?.(event),
    (i) => [{ type: "agent-start", at: i, run: "1", agent: "a", namespace: "a", activation: `${i}` }],
  );
  expect(left).toBeLessThan(30);
});

test("graphs whose nodes have new names each time leave nothing behind in speculation", () => {
  const policy = speculation.create(context(speculation.options.parse({})));
  const left = leftBehind(
    (event) => policy.observe?.(event),
    (i) => [{ type: "topology", at: i, graph: "g", agents: [], edges: [], free: [`worker ${i}`] }],
  );
  expect(left).toBeLessThan(30);
});
