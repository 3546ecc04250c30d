import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import * as fc from "fast-check";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { expect, test } from "vitest";
import { readCounts } from "../../src/learn/counts.ts";
import { shapeOf } from "../../src/langgraph/prompt.ts";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import {
  END,
  type Event,
  type RequestStartEvent,
  START,
  type TopologyEvent,
} from "../../src/runtime/event.ts";
import { App } from "../runtime/app.ts";

const topology = (...edges: readonly (readonly [string, string, number])[]): TopologyEvent => ({
  type: "topology",
  at: 0,
  graph: "app",
  agents: [...new Set(edges.flatMap(([from, to]) => [from, to]))],
  edges: edges.map(([from, to, weight]) => ({ from, to, weight })),
});
const feed = (predictor: LearnedPredictor, events: readonly Event[]) => {
  for (const event of events) predictor.observe(event);
};
const named = (predictor: LearnedPredictor) => {
  const { agents, transitions } = predictor.snapshot();
  return transitions.agents.flatMap((counts, from) =>
    readCounts(counts).flatMap((count, to) => (count > 0 ? [`${agents[from]}>${agents[to]} ${count}`] : [])),
  );
};
const probabilities = (predictor: LearnedPredictor, run: string) =>
  Object.fromEntries(predictor.next(run).map(({ agent, probability }) => [agent, probability]));

test("before any run the declared graph speaks", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  feed(predictor, [topology([START, "a", 1], ["a", "b", 0.5], ["a", END, 0.5]), app.start("1")]);
  expect(probabilities(predictor, "1")).toEqual({ a: 1 });
  predictor.observe(app.call("1", "a", 1));
  expect(probabilities(predictor, "1")).toEqual({ b: 0.5 });
});

test("counts win over the declared graph as they grow", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  predictor.observe(topology([START, "a", 1], ["a", "b", 0.5], ["a", "c", 0.5]));
  for (let i = 0; i < 20; i++) feed(predictor, app.run(`${i}`, "a", "b"));
  feed(predictor, [app.start("x"), app.call("x", "a", 1)]);
  expect(probabilities(predictor, "x")["b"]).toBeGreaterThan(0.95);
});

test("what is certain has a probability of 1 at most, also where its shares are rounded", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  predictor.observe(
    topology(
      [START, "a", 1],
      ["a", "b", 1],
      ["b", "c", 1],
      ["c", "a", 1 / 3],
      ["c", "b", 1 / 3],
      ["c", END, 1 / 3],
    ),
  );
  const said: number[] = [];
  for (let i = 0; i < 60; i++)
    for (const event of app.run(`${i}`, "a", "b", "c", "a", "b", "c", "b", "c", "b", "c")) {
      predictor.observe(event);
      said.push(...predictor.next(`${i}`).map(({ probability }) => probability));
    }
  expect(said.length).toBeGreaterThan(600);
  expect(Math.max(...said)).toBe(1);
});

test("a node that never calls the model is walked through", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  feed(predictor, [
    topology([START, "a", 1], ["a", "plain", 1], ["plain", "b", 1]),
    app.start("1"),
    { type: "agent-start", at: 1, run: "1", agent: "plain", namespace: "plain", activation: "x" },
    {
      type: "agent-end",
      at: 2,
      run: "1",
      agent: "plain",
      namespace: "plain",
      activation: "x",
      status: "completed",
    },
    app.call("1", "a", 2),
  ]);
  expect(probabilities(predictor, "1")).toEqual({ b: 1 });
});

test("interleaved runs do not mix", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  const one = app.run("1", "a", "b", "a", "b");
  const two = app.run("2", "c", "d", "c", "d");
  for (let i = 0; i < one.length; i++) feed(predictor, [one[i] as Event, two[i] as Event]);
  feed(predictor, [app.start("3"), app.call("3", "a", 1)]);
  const [best] = predictor.next("3");
  expect(best?.agent).toBe("b");
  const counted = named(predictor).join();
  expect(counted).not.toContain("a>c");
  expect(counted).not.toContain("b>c");
});

test("siblings of one superstep follow its predecessor, not each other", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  for (const run of ["1", "2"])
    feed(predictor, [
      app.start(run),
      app.call(run, "plan", 1),
      app.call(run, "left", 2),
      app.call(run, "right", 2),
      app.call(run, "join", 3),
      app.end(run),
    ]);
  // Each of two siblings counts for one half of what follows both.
  expect(named(predictor).toSorted()).toEqual(
    [
      `${START}>plan 2`,
      "plan>left 2",
      "plan>right 2",
      "left>join 1",
      "right>join 1",
      `join>${END} 2`,
    ].toSorted(),
  );
});

const placed = (event: Event, agent: string) =>
  ({ ...event, agent, namespace: `node|${agent}`, step: 1, activation: agent }) as Event;

/** Who follows whom after a run of two agents whose calls have the same superstep. */
function followers(inARow: boolean): readonly string[] {
  const predictor = new LearnedPredictor();
  const app = new App();
  const begin = (agent: string) => placed({ ...app.start("1"), type: "agent-start" } as Event, agent);
  const end = (agent: string) => placed({ ...app.end("1"), type: "agent-end" } as Event, agent);
  const call = (agent: string) => placed(app.call("1", agent), agent);
  feed(predictor, [app.start("1"), begin("a")]);
  feed(predictor, inARow ? [call("a"), end("a"), begin("b")] : [begin("b"), call("a"), end("a")]);
  feed(predictor, [call("b"), end("b"), app.end("1")]);
  return named(predictor).toSorted();
}

test("an agent that begins when all others of the superstep have ended follows them, whatever its number", () => {
  expect(followers(true)).toEqual([`${START}>a 1`, "a>b 1", `b>${END} 1`].toSorted());
  expect(followers(false)).toEqual([`${START}>a 1`, `${START}>b 1`, `a>${END} 1`, `b>${END} 1`].toSorted());
});

test("two agents of context tell apart what one cannot", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  for (let i = 0; i < 10; i++)
    feed(predictor, [...app.run(`${i}a`, "a", "hub", "x"), ...app.run(`${i}b`, "b", "hub", "y")]);
  feed(predictor, [app.start("q"), app.call("q", "b", 1), app.call("q", "hub", 2)]);
  expect(predictor.next("q")[0]?.agent).toBe("y");
});

test("how long an answer is tells who is next", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  const answered = (run: string, outputTokens: number, step: number): readonly Event[] => {
    const call = app.call(run, "hub", step) as Extract<Event, { type: "request-start" }>;
    return [call, { ...call, type: "request-end", status: "completed", usage: { outputTokens } }];
  };
  for (let i = 0; i < 10; i++) {
    feed(predictor, [
      app.start(`${i}a`),
      ...answered(`${i}a`, 5, 1),
      app.call(`${i}a`, "x", 2),
      app.end(`${i}a`),
    ]);
    feed(predictor, [
      app.start(`${i}b`),
      ...answered(`${i}b`, 300, 1),
      app.call(`${i}b`, "y", 2),
      app.end(`${i}b`),
    ]);
  }
  feed(predictor, [app.start("p"), ...answered("p", 6, 1), app.start("q"), ...answered("q", 400, 1)]);
  expect(predictor.next("p")[0]?.agent).toBe("x");
  expect(predictor.next("q")[0]?.agent).toBe("y");
  const copy = new LearnedPredictor();
  copy.restore(JSON.parse(JSON.stringify(predictor.snapshot())));
  feed(copy, [app.start("r"), ...answered("r", 7, 1)]);
  expect(probabilities(copy, "r")["x"]).toBeCloseTo(probabilities(predictor, "p")["x"] ?? 0, 4);
});

test("where agents take turns in an order of their own, who has been away for long is next", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  const random = xoroshiro128plus(1);
  // Rounds in which each of six speaks once, in an order that has nothing to do with the one before.
  const round = () => {
    const left = [..."abcdef"];
    return Array.from({ length: 6 }, () => left.splice(uniformInt(random, 0, left.length - 1), 1)[0] ?? "");
  };
  for (let i = 0; i < 60; i++)
    feed(predictor, app.run(`${i}`, ...round(), ...round(), ...round(), ...round()));
  feed(predictor, [app.start("x"), ...[..."abcdefebdfc"].map((agent, i) => app.call("x", agent, i + 1))]);
  const [first, second] = predictor.next("x");
  expect(first?.agent).toBe("a");
  expect(first?.probability).toBeGreaterThan(2 * (second?.probability ?? 0));
});

test("an end that was not expected counts against what was said to come", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  for (let i = 0; i < 20; i++) feed(predictor, app.run(`${i}`, "a", "b"));
  feed(predictor, [app.start("x"), app.call("x", "a", 1)]);
  predictor.next("x");
  const before = predictor.accuracy;
  predictor.observe(app.end("x"));
  expect(predictor.accuracy.asked).toBe(before.asked);
  expect(predictor.accuracy.calibrationError ?? 0).toBeGreaterThan(before.calibrationError ?? 0);
});

test("accuracy asks only where the agent changes, before the exact signal", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  for (let i = 0; i < 5; i++) feed(predictor, app.run(`${i}`, "a", "b"));
  const before = predictor.accuracy;
  predictor.observe(app.start("x"));
  predictor.observe(app.call("x", "a", 1));
  predictor.next("x");
  predictor.observe(app.next("x", "a", "b"));
  predictor.observe(app.call("x", "b", 2));
  expect(predictor.accuracy).toMatchObject({ asked: before.asked + 1, right: before.right + 1 });
});

test("values and probabilities stay in [0, 1] on any event order", () => {
  const app = new App();
  const event = fc
    .tuple(fc.constantFrom("1", "2"), fc.constantFrom("a", "b", "c"), fc.nat(3), fc.nat(4))
    .map(([run, agent, what, step]): Event => {
      if (what === 0) return app.end(run);
      if (what === 1) return app.next(run, agent, "b");
      return app.call(run, agent, step);
    });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), (events) => {
      const predictor = new LearnedPredictor();
      for (const one of events) {
        predictor.observe(one);
        for (const run of ["1", "2"])
          for (const { agent, probability } of predictor.next(run)) {
            expect(probability).toBeGreaterThanOrEqual(0);
            expect(probability).toBeLessThanOrEqual(1);
            for (const prefix of [{ agent }, { agent, run }]) {
              const value = predictor.reuse(prefix);
              expect(value).toBeGreaterThanOrEqual(0);
              expect(value).toBeLessThanOrEqual(1);
            }
          }
      }
    }),
  );
});

function learn(...runs: readonly Event[][]): LearnedPredictor {
  const predictor = new LearnedPredictor();
  for (const run of runs) feed(predictor, run);
  return predictor;
}

test("a snapshot restores, and two processes' counts add up in either order", () => {
  const app = new App();
  const one = app.run("1", "a", "b", "c");
  const two = app.run("2", "a", "c", "a");
  const merged = (...states: unknown[]) => {
    const predictor = new LearnedPredictor();
    for (const state of states) predictor.restore(JSON.parse(JSON.stringify(state)));
    feed(predictor, [app.start("x"), app.call("x", "a", 1)]);
    return probabilities(predictor, "x");
  };
  const [left, right, both] = [learn(one), learn(two), learn(one, two)].map((p) => p.snapshot());
  expect(merged(left, right)).toEqual(merged(right, left));
  expect(merged(left, right)).toEqual(merged(both));
});

const copyOf = (predictor: LearnedPredictor) => {
  const copy = new LearnedPredictor();
  copy.restore(JSON.parse(JSON.stringify(predictor.snapshot())));
  return copy;
};

test("what was restored has the same snapshot", () => {
  const runs = fc.array(fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 12 }), { maxLength: 12 });
  fc.assert(
    fc.property(runs, (given) => {
      const app = new App();
      const predictor = learn(...given.map((agents, run) => app.run(`${run}`, ...agents)));
      expect(copyOf(predictor).snapshot()).toEqual(predictor.snapshot());
    }),
  );
});

test("24 agents in any order take at most 20 KB", () => {
  const app = new App();
  const predictor = new LearnedPredictor();
  let seed = 1;
  const below = (limit: number) => (seed = (seed * 48_271) % 2_147_483_647) % limit;
  for (let run = 0; run < 500; run++)
    feed(predictor, app.run(`${run}`, ...Array.from({ length: 40 }, () => `agent-${below(24)}`)));
  const size = JSON.stringify(predictor.snapshot()).length;
  expect(size).toBeGreaterThan(10 * 1024);
  expect(size).toBeLessThan(20 * 1024);
});

test("restore says what is wrong with a state that is none", () => {
  const broken = { ...new LearnedPredictor().snapshot(), returns: '"' };
  expect(() => new LearnedPredictor().restore({ version: 4 })).toThrow(/learned state.*version/s);
  expect(() => new LearnedPredictor().restore(broken)).toThrow(/learned state.*returns/s);
});

test("tokens follow the reported usage", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  expect(predictor.tokens(400)).toBe(100);
  const call = app.call("1", "a") as Extract<Event, { type: "request-start" }>;
  feed(predictor, [
    call,
    { ...call, type: "request-end", status: "completed", usage: { promptTokens: 800 } },
  ]);
  expect(predictor.tokens(400)).toBe(80);
});

test("what is fetched again in time is kept for the next step only", () => {
  const app = new App();
  const predictor = new LearnedPredictor();
  for (const run of ["1", "2", "3", "4"]) feed(predictor, app.run(run, "a", "b", "a", "b", "a"));
  feed(predictor, [app.start("5"), app.call("5", "a", 1), app.call("5", "b", 2)]);
  const value = (agent: string, fetchedAgain: number) =>
    predictor.reuse({ agent, run: "5" }, undefined, fetchedAgain);
  // a is next; b comes after it, in two steps.
  expect(value("b", 0)).toBeGreaterThan(0.2);
  expect(value("b", 1)).toBeLessThan(value("b", 0) / 2);
  expect(value("a", 1)).toBeGreaterThan(0.8 * value("a", 0));
});

test("a prompt that is one message which grows is taken to go on", () => {
  const predictor = new LearnedPredictor();
  const text = Array.from({ length: 2000 }, (_, i) => `word${i}`).join(" ");
  const call = (run: string, step: number, at: number): Event => ({
    type: "request-start",
    at,
    run,
    agent: "a",
    namespace: "",
    request: `${run} ${step}`,
    step,
    prompt: shapeOf(
      [new SystemMessage("s"), new HumanMessage(`${run} ${text.slice(0, 3000 + 700 * step)}`)],
      [],
    ),
  });
  for (let run = 0; run < 6; run++) {
    for (let step = 1; step <= 8; step++) predictor.observe(call(`${run}`, step, 10 * run + step));
    if (run < 5) predictor.observe({ type: "run-end", at: 10 * run + 9, run: `${run}`, status: "completed" });
  }
  expect(predictor.branch("5", "a")).toBe(0);
  expect(predictor.keptHistory("a", 3000)).toBeGreaterThan(0.9);
  // The middle of its history is asked for at nearly every step.
  expect(predictor.reuse({ agent: "a", run: "5" }, 4000)).toBeGreaterThan(0.3);
});

test("a run's prefixes are worth more the nearer it is to its return", () => {
  const predictor = new LearnedPredictor();
  let at = 0;
  const events = new App();
  const play = (event: Event, takes: number) => {
    at += takes;
    predictor.observe({ ...event, at });
  };
  const step = (run: string, agent: string, index: number) => {
    const call = events.call(run, agent, index) as RequestStartEvent;
    play(call, 500 + (index % 5) * 100);
    const { prompt: _, ...whose } = call;
    play({ ...whose, type: "request-end", status: "completed" }, 100);
  };
  play(events.start("1"), 0);
  for (let index = 1; index < 60; index++) step("1", index % 2 === 0 ? "a" : "b", index);
  const outlook = predictor.outlook("1");
  const times = outlook.map(([afterMs]) => afterMs);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  // Gaps are of 500 to 900 ms.
  const before = outlook.filter(([afterMs]) => afterMs < 850).map(([, factor]) => factor);
  expect(before.length).toBeGreaterThan(1);
  expect(before).toEqual(before.toSorted((a, b) => a - b));
  expect(before.at(-1)).toBeGreaterThan(1.5);
});

test("a chat that pauses between its runs: they open with who opened them, and a pause is no gap", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  const turn = (name: string) => {
    feed(predictor, [app.start(name, "chat"), app.call(name, "router", 1), app.call(name, "expert", 2)]);
    feed(predictor, [app.call(name, "expert", 3), app.end(name, "completed", "chat")]);
    app.time += 1_000_000;
  };
  for (let i = 0; i < 8; i++) turn(`run ${i}`);
  feed(predictor, [app.start("last", "chat"), app.call("last", "router", 1), app.call("last", "expert", 2)]);
  // Every third call opens a run, and is the router's, although the one that is open will not call it again.
  expect(probabilities(predictor, "last")["router"] ?? 0).toBeLessThan(0.1);
  expect(predictor.reuse({ agent: "router" })).toBeGreaterThan(0.1);
  // Calls without an answer have no gap after them.
  expect(predictor.snapshot().pace.sum).toBeLessThan(1000);
});

test("a thread's pause is counted from its last call on, whenever its run's end is seen", () => {
  const waits = [false, true].map((isLate) => {
    const predictor = new LearnedPredictor();
    const app = new App();
    for (let i = 0; i < 8; i++) {
      feed(predictor, [app.start(`run ${i}`, "chat"), app.call(`run ${i}`, "assistant", 1)]);
      const end = (): Event => ({ ...app.end(`run ${i}`, "completed", "chat"), at: app.time });
      if (!isLate) predictor.observe(end());
      app.time += 1_000_000;
      if (isLate) predictor.observe(end());
    }
    return predictor.snapshot().threads;
  });
  expect(waits[1]).toEqual(waits[0]);
  expect(waits[0]?.[0]?.[1]).toBe(7);
});

test("a run that is told to begin once it has called takes nothing over", () => {
  const predictor = new LearnedPredictor();
  const app = new App();
  feed(predictor, [app.start("1", "chat"), app.end("1", "interrupted", "chat"), app.call("1", "a", 1)]);
  const value = () => predictor.reuse({ agent: "a", run: "1" });
  const before = value();
  predictor.observe(app.start("1", "chat"));
  expect(value()).toBe(before);
});
