import { Annotation, END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import speculation from "../../src/policies/speculation.ts";
import type { Advice, SpeculateHint } from "../../src/runtime/action.ts";
import type { Event } from "../../src/runtime/event.ts";
import type { Moment, Policy, PolicyContext } from "../../src/runtime/policy.ts";
import { scriptedSage, type ScriptedSage } from "./scripted-sage.ts";

const State = Annotation.Root({ ...MessagesAnnotation.spec, next: Annotation<string> });

/** A router that asks its model, and goes where the input says. @param asked what else it does then. */
function routed({ sage, model }: ScriptedSage, asked: () => unknown = () => {}) {
  const asks = (about: string) => async () => ({ messages: [await model().invoke(about)] });
  return sage.instrument(
    new StateGraph(State)
      .addNode("router", async () => {
        await model().invoke("who?");
        await asked();
        return {};
      })
      .addNode("worker", asks("work"))
      .addNode("other", asks("other"))
      .addEdge(START, "router")
      .addConditionalEdges("router", ({ next }) => next, ["worker", "other"])
      .compile(),
  );
}

async function play(app: ScriptedSage, ...path: readonly string[]): Promise<readonly unknown[]> {
  return playOn(routed(app), path);
}

async function playOn(
  graph: ReturnType<typeof routed>,
  path: readonly string[],
): Promise<readonly unknown[]> {
  const results: unknown[] = [];
  for (const next of path)
    results.push((await graph.invoke({ messages: [], next })).messages.map(({ content }) => content));
  return results;
}

const early = ({ sage }: ScriptedSage) =>
  [...sage.ledger]
    .filter(({ action }) => action.type === "speculate")
    .map(({ outcome }) => outcome?.status)
    .toReversed();
const path = ["worker", "worker", "worker", "worker", "worker", "other", "worker"];
const willing = { tokensPerSecond: 1e6, wasteShare: 10 };

test("once it has seen who follows, the next agent's model is asked early, and no more often than without", async () => {
  await using off = await scriptedSage({}, ({ body }) => ({
    text: `to ${String(body.messages?.at(-1)?.content)}`,
  }));
  await using on = await scriptedSage(
    { speculation: { nodes: ["worker", "other"], ...willing } },
    off.server.script,
  );
  expect(await play(on, ...path)).toEqual(await play(off, ...path));
  expect(early(on)).toEqual(["applied", "applied", "applied", "applied", "cancelled", "applied"]);
  // The wrong guess is the only call that was made in vain, if it had left at all.
  expect(on.server.requests.length - off.server.requests.length).toBeLessThanOrEqual(1);
});

test("what the app announces, rightly or not, changes no result", async () => {
  const said = ["worker", "other", "worker", "other", "other", "worker", END];
  await using off = await scriptedSage({}, ({ body }) => ({
    text: `to ${String(body.messages?.at(-1)?.content)}`,
  }));
  await using on = await scriptedSage(
    { speculation: { nodes: ["worker", "other"], ...willing } },
    off.server.script,
  );
  const graph = routed(on, async () => {
    on.sage.announce(said.shift() ?? "worker");
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
  expect(await playOn(graph, path)).toEqual(await play(off, ...path));
  expect(early(on)).toContain("applied");
  expect(on.sage.stats.faults).toBe(0);
});

test("an agent that is not declared free of side effects is never run early; its prefix is fetched", async () => {
  await using app = await scriptedSage({ speculation: willing });
  await play(app, ...path);
  expect(early(app)).toEqual([]);
  const fetched = [...app.sage.ledger].filter(({ action }) => action.type === "prefetch");
  expect(fetched.length).toBeGreaterThan(0);
});

test("a pair whose router changes the state is left alone after two that came to nothing", () => {
  const { policy, moments, hints } = pairOf(willing);
  let count = 0;
  for (let i = 0; i < 20; i++) {
    moments();
    for (const hint of hints.splice(0)) {
      policy.settled?.(hint, { status: "rejected", tokens: 5 });
      count++;
    }
  }
  expect(count).toBe(2);
});

test("the tokens lost stay within their share of all tokens, whatever becomes of early runs", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("applied", "cancelled", "failed"), { minLength: 20, maxLength: 60 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (statuses, wasteShare) => {
        const { policy, moments, hints, spent } = pairOf({
          tokensPerSecond: 1e9,
          wasteShare,
          minProbability: 0,
        });
        let lost = 0;
        for (const status of statuses) {
          moments();
          for (const hint of hints.splice(0)) {
            expect(lost + (1 - hint.probability) * hint.tokens).toBeLessThanOrEqual(
              wasteShare * spent() + 1e-9,
            );
            if (status !== "applied") lost += hint.tokens;
            policy.settled?.(hint, { status, tokens: status === "applied" ? 0 : hint.tokens });
          }
        }
      },
    ),
  );
});

/** The policy alone, in runs in which `worker` follows `router`, each with 100 tokens and 100 ms. */
function pairOf(given: object) {
  const options = speculation.options.parse({ nodes: ["worker"], warm: false, ...given });
  const none = { of: () => [], anchor: () => undefined, anchors: () => [], openRuns: 0 };
  const context = {
    options,
    clock: { now: () => 0 },
    prefixes: none,
    predictor: {},
  } as unknown as PolicyContext<typeof options>;
  const policy: Policy<"prefix"> = speculation.create(context);
  const hints: SpeculateHint[] = [];
  let [now, runs, tokens] = [0, 0, 0];
  const say = (event: Event, probability = 0) => {
    policy.observe?.(event);
    const run = "run" in event ? event.run : "";
    const predictions = [{ run, agent: "worker", probability }];
    const moment: Moment = { event, run, now, gone: [] };
    for (const one of (policy.act?.([], predictions, moment) ?? []) as Iterable<Advice>)
      if (one.type === "speculate") hints.push(one);
  };
  const moments = () => {
    const run = `${runs++}`;
    for (const agent of ["router", "worker"]) {
      const at = { run, agent, namespace: agent };
      const prompt = { anchor: { hash: agent, length: 1 }, history: [] };
      say({ type: "agent-start", at: now, ...at, activation: run });
      say(
        { type: "request-start", at: now, ...at, request: `${run} ${agent}`, prompt },
        agent === "router" ? 0.8 : 0,
      );
      now += 100;
      tokens += 100;
      const usage = { promptTokens: 90, outputTokens: 10 };
      say({ type: "request-end", at: now, ...at, request: `${run} ${agent}`, status: "completed", usage });
      if (agent === "router")
        say({ type: "next-agents", at: now, run, from: agent, agents: ["worker"], source: "router" });
      say({ type: "agent-end", at: now, ...at, activation: run, status: "completed" });
    }
  };
  return { policy, moments, hints, spent: () => tokens };
}
