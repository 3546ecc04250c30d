import { expect, test } from "vitest";
import { LearnedPredictor } from "../../src/learn/predictor.ts";
import prefixCache from "../../src/policies/prefix-cache.ts";
import type { Advice, PrefetchHint, RetainHint, Settlement } from "../../src/runtime/action.ts";
import { prefixId } from "../../src/runtime/action.ts";
import { AgentRuntime } from "../../src/runtime/agent-runtime.ts";
import { END, type Event, type RequestStartEvent } from "../../src/runtime/event.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";
import { App } from "../runtime/app.ts";

function policy(given: object = {}, aheadTokens?: number) {
  return layerOf(given, aheadTokens).observe;
}

function layerOf(given: object = {}, aheadTokens?: number, predictor = new LearnedPredictor()) {
  const clock = { now: () => 0 };
  const prefixes = new LivePrefixes(predictor);
  const options = prefixCache.options.parse(given);
  const installed = prefixCache.create({ options, clock, predictor, prefixes });
  const layer = new AgentRuntime({
    clock,
    predictor,
    prefixes,
    policies: [{ definition: prefixCache, policy: installed }],
    ledger: new Ledger(),
    ...(aheadTokens !== undefined && { aheadTokens }),
    onFault: (where, error) => {
      throw new Error(where, { cause: error });
    },
  });
  const observe = (...events: Event[]) => events.flatMap((event) => layer.observe(event));
  return { observe, installed };
}

const short = (actions: readonly Advice[]) =>
  actions.map((action) => `${action.type} ${prefixId(action.prefix)}`);
const valueOf = (actions: readonly Advice[], id: string) =>
  actions.flatMap((action) =>
    action.type === "retain" && prefixId(action.prefix) === id ? [action.value] : [],
  )[0] ?? -1;
const prefetched = (actions: readonly Advice[]) =>
  short(actions).filter((line) => line.startsWith("prefetch"));

test("prefetches the agent that has always come next, anchor plus the history so far", () => {
  const app = new App();
  const observe = policy();
  for (const run of ["1", "2", "3", "4"]) observe(...app.run(run, "a", "b", "c"));
  observe(app.start("5"), app.call("5", "a", 1));
  const actions = observe(app.call("5", "b", 2));
  const fetch = actions.find(({ type }) => type === "prefetch");
  expect(fetch).toMatchObject({ prefix: { agent: "c", run: "5" } });
  // 4,000 characters of anchor and one message of 400 in b's prompt, at 4 characters a token; c has shared the whole
  // history four times, which with a prior of one half is 4.5 / 5.
  expect(fetch).toHaveProperty("tokens", 1000 + 100 * 0.9);
});

test("prefetches an agent with a history of its own as it was when it called last in that run", () => {
  const app = new App(false);
  const observe = policy();
  for (const run of ["1", "2", "3", "4"]) observe(...app.run(run, "a", "b", "a", "b", "a", "b"));
  observe(app.start("5"), app.call("5", "a", 1), app.call("5", "b", 2), app.call("5", "a", 3));
  observe(app.call("5", "b", 4));
  const fetch = observe(app.call("5", "a", 5)).find(({ type }) => type === "prefetch");
  // 4,000 characters of anchor and one message of 400 at 4 characters a token: what b's second prompt in this run held.
  expect(fetch).toMatchObject({ prefix: { agent: "b", run: "5" }, tokens: 1000 + 100 });
});

/** A prompt with a task of the run before what was said, and 2,000 characters of that call alone after it. */
function looked(event: Event): Event {
  if (event.type !== "request-start") return event;
  const task = { hash: `task of ${event.run} and ${event.agent}`, length: 6000 };
  const history = [task, ...event.prompt.history, { hash: event.request, length: 2000 }];
  return { ...event, prompt: { ...event.prompt, history } };
}

/** Two agents with such prompts, in turn. */
function lookedUp(given: object): readonly Advice[] {
  const app = new App(false);
  const observe = policy(given);
  const agents = ["a", "b", "a", "b", "a", "b", "a", "b", "a", "b"];
  for (const run of ["1", "2", "3", "4"]) observe(...app.run(run, ...agents).map(looked));
  return observe(
    ...app
      .run("5", ...agents)
      .slice(0, -2)
      .map(looked),
  );
}

test("the end of a prompt is worth less where the next one has something else there", () => {
  const sent = lookedUp({ prefetch: false });
  const last = sent.findLast((hint) => hint.type === "retain" && prefixId(hint.prefix) === "run/5/a");
  // 2,048 characters are the nearest that is told apart; a token has 4.
  expect(last).toMatchObject({ type: "retain", tail: { tokens: 512 } });
  const { value, tail, later } = last as RetainHint;
  expect(value).toBeGreaterThan(0.2);
  expect(tail?.value).toBeLessThan(value / 5);
  expect(tail?.later?.length).toBe(later?.length);
});

test("what the next prompt has something else for is not prefetched", () => {
  const last = lookedUp({}).findLast((hint) => hint.type === "prefetch");
  // Its fifth prompt goes on from the fourth one: 4,000 characters of anchor, 6,000 of task and 1,200 said.
  expect(last).toMatchObject({ prefix: { agent: "b", run: "5" }, without: 2048 });
  const { tokens } = last as PrefetchHint;
  expect(tokens).toBeGreaterThan(2700);
  expect(tokens).toBeLessThanOrEqual(2800);
});

/** The value of an agent's anchor in the last of eight runs; each with an anchor of its own, or all with one. */
function anchorValue(endsWithName: boolean): number {
  const app = new App();
  const observe = policy();
  const sent = ["1", "2", "3", "4", "5", "6", "7", "8"].flatMap((run) => {
    const events = app.run(run, "a", "b").map((event): Event => {
      if (event.type !== "request-start" || !endsWithName) return event;
      const anchor = { ...event.prompt.anchor, hash: `${event.prompt.anchor.hash} for user ${run}` };
      return { ...event, prompt: { ...event.prompt, anchor } };
    });
    return observe(...events);
  });
  // No run is open at the end.
  return valueOf(
    sent.toReversed().filter((hint) => hint.type === "retain" && hint.value > 0),
    "anchor/a",
  );
}

test("an anchor that ends with the user's name is worth what its beginning is, which all runs use", () => {
  expect(anchorValue(true)).toBe(anchorValue(false));
  expect(anchorValue(true)).toBeGreaterThan(0.1);
});

/** One agent that calls again and again; what is planned when it has answered the sixth time. */
function againAndAgain(cachedTokens: (prompt: number) => number): readonly Advice[] {
  const app = new App();
  const observe = policy();
  observe(app.start("1"));
  let actions: readonly Advice[] = [];
  for (let step = 1; step <= 6; step++) {
    const call = app.call("1", "a", step) as RequestStartEvent;
    expect(prefetched(observe(call))).toEqual([]);
    const promptTokens = 1000 + 100 * (step - 1);
    const usage = { promptTokens, cachedTokens: cachedTokens(promptTokens) };
    actions = observe({ ...call, at: (app.time += 50), type: "request-end", status: "completed", usage });
  }
  return actions;
}

test("an agent that calls again is fetched again where its prefix goes meanwhile, and nowhere else", () => {
  expect(prefetched(againAndAgain((prompt) => prompt - 100))).toEqual([]);
  const actions = againAndAgain(() => 400);
  expect(prefetched(actions)).toEqual(["prefetch run/1/a"]);
  expect(actions.find(({ type }) => type === "prefetch")).toHaveProperty("tokens", 1500);
});

/** Remembers the share of prefetches found in time that it was told last. */
class Asked extends LearnedPredictor {
  inTime = 0;

  override reuse(...[prefix, fromEnd, fetchedAgain = 0]: Parameters<LearnedPredictor["reuse"]>): number {
    if (prefix.run !== undefined) this.inTime = fetchedAgain;
    return super.reuse(prefix, fromEnd, fetchedAgain);
  }
}

/** The share after one prefetch that was found, and one that ended like this and was not. */
function inTimeAfter(outcome: Settlement): number {
  const app = new App();
  const predictor = new Asked();
  const { observe, installed } = layerOf({}, undefined, predictor);
  for (const run of ["1", "2", "3", "4"]) observe(...app.run(run, "a", "b"));
  const play = (run: string, ended: Settlement, cachedTokens: number) => {
    const hint = observe(app.start(run), app.call(run, "a", 1)).find(({ type }) => type === "prefetch");
    expect(hint).toMatchObject({ prefix: { agent: "b", run } });
    installed.settled?.(hint as Advice, ended);
    const call = app.call(run, "b", 2) as RequestStartEvent;
    const usage = { promptTokens: 1200, cachedTokens };
    observe(call, { ...call, at: (app.time += 50), type: "request-end", status: "completed", usage });
  };
  play("5", { status: "applied", tokens: 1000 }, 1100);
  expect(predictor.inTime).toBe(1);
  play("6", outcome, 0);
  return predictor.inTime;
}

test("a prefetch that went to the engine and came to nothing counts as one not found, one that never went does not", () => {
  expect(inTimeAfter({ status: "ignored", reason: "what is resident is worth more", tokens: 0 })).toBe(0.5);
  expect(inTimeAfter({ status: "failed", reason: "the engine is down" })).toBe(0.5);
  expect(inTimeAfter({ status: "dropped", reason: "no room" })).toBe(1);
});

test("releases every prefix of a run when it ends, and cancels what was fetched ahead", () => {
  const app = new App();
  const observe = policy();
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b", "c"));
  observe(app.start("4"), app.call("4", "a", 1), app.call("4", "b", 2));
  const actions = short(observe(app.end("4")));
  expect(actions).toEqual(
    expect.arrayContaining(["release run/4/a", "release run/4/b", "cancel run/4/c", "release run/4/c"]),
  );
});

test("an interrupted run's prefixes stay, and are those of the run that resumes its thread", () => {
  const app = new App();
  const observe = policy();
  observe(app.start("1", "thread"), app.call("1", "a"));
  expect(short(observe(app.end("1", "interrupted", "thread")))).not.toContain("release run/1/a");
  observe(app.start("2", "thread"), app.call("2", "b", 1));
  // The thread's a, called by the run before, is worth what a return to it is.
  expect(valueOf(observe(app.call("2", "b", 2)), "run/1/a")).toBeGreaterThan(0.1);
  // And is replaced when the new run calls it.
  expect(short(observe(app.call("2", "a", 3)))).toContain("release run/1/a");
});

const atEnd = (comesBack: boolean) => {
  const app = new App();
  const observe = policy();
  let actions: readonly Advice[] = [];
  for (let i = 0; i < 10; i++) {
    const thread = comesBack ? "chat" : `job ${i}`;
    observe(app.start(`${i}`, thread), app.call(`${i}`, "a", 1));
    actions = observe(app.end(`${i}`, "completed", thread));
  }
  return valueOf(actions, "run/9/a");
};

test("threads that come back after every run keep their prefixes at a higher value than those that never do", () => {
  expect(atEnd(true)).toBeGreaterThan(0.3);
  expect(atEnd(false)).toBeLessThan(0.05);
});

test("a run without a thread is over with its end, and a thread that starts anew lets go of what it left", () => {
  const app = new App();
  const observe = policy();
  observe(app.start("1"), app.call("1", "a", 1));
  expect(short(observe(app.end("1")))).toContain("release run/1/a");
  observe(app.start("2", "thread"), app.start("3", "thread"), app.call("2", "a", 1), app.call("3", "a", 1));
  expect(short(observe(app.end("2", "completed", "thread")))).not.toContain("release run/2/a");
  expect(short(observe(app.end("3", "completed", "thread")))).toContain("release run/2/a");
});

test("cancels a prefetch as soon as another agent is known to come, keeps it when it was right", () => {
  const app = new App();
  const observe = policy({ wasteWeight: 0.25 });
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b", "c"), ...app.run(`${run}x`, "a", "d"));
  observe(app.start("9"));
  const ahead = prefetched(observe(app.call("9", "a", 1)));
  expect(ahead.toSorted()).toEqual(["prefetch run/9/b", "prefetch run/9/d"]);
  expect(short(observe(app.next("9", "a", "d")))).toEqual(
    expect.arrayContaining(["cancel run/9/b", "release run/9/b"]),
  );
  expect(short(observe(app.call("9", "d", 2)))).not.toContain("cancel run/9/d");
});

test("what the app announces is fetched at once, in place of what was expected", () => {
  const app = new App();
  const observe = policy();
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b", "c"));
  observe(...app.run("4", "a", "d"), app.start("9"));
  expect(prefetched(observe(app.call("9", "a", 1)))).toEqual(["prefetch run/9/b"]);
  const told = observe(app.announced("9", "a", "d"));
  expect(prefetched(told)).toEqual(["prefetch run/9/d"]);
  expect(short(told)).toEqual(expect.arrayContaining(["cancel run/9/b", "release run/9/b"]));
  expect(told.find(({ type }) => type === "prefetch")).toHaveProperty("probability", 1);
  // LangGraph's own word stands.
  expect(short(observe(app.next("9", "a", "b")))).toContain("cancel run/9/d");
});

test("after an announced end nothing is fetched, and what was is let go", () => {
  const app = new App();
  const observe = policy();
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b"));
  observe(app.start("9"), app.call("9", "a", 1));
  const told = observe(app.announced("9", "a", END));
  expect(prefetched(told)).toEqual([]);
  expect(short(told)).toContain("cancel run/9/b");
});

test("the budget bounds what is fetched ahead over all runs", () => {
  const app = new App();
  const observe = policy({ maxPerRun: 1 }, 2500);
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b"));
  const open = ["4", "5", "6", "7"].flatMap((run) =>
    prefetched(observe(app.start(run), app.call(run, "a", 1))),
  );
  expect(open).toEqual(["prefetch run/4/b", "prefetch run/5/b"]);
  observe(app.call("4", "b", 2));
  expect(prefetched(observe(app.start("8"), app.call("8", "a", 1)))).toEqual(["prefetch run/8/b"]);
});

test("a prefetch that the budget had no room for is not withdrawn later, as one that went is", () => {
  const app = new App();
  const observe = policy({ maxPerRun: 1 }, 1500);
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b"));
  observe(app.start("4"), app.call("4", "a", 1));
  observe(app.start("5"), app.call("5", "a", 1));
  expect(short(observe(app.end("5")))).not.toContain("cancel run/5/b");
  expect(short(observe(app.end("4")))).toContain("cancel run/4/b");
});

test("runs whose end nobody sees do not hold the budget for good", () => {
  const app = new App();
  const observe = policy({ maxPerRun: 1 }, 2500);
  for (const run of ["1", "2", "3"]) observe(...app.run(run, "a", "b"));
  const at = (time: number, run: string) =>
    prefetched(
      observe({ ...app.start(run), at: time } as Event, { ...app.call(run, "a", 1), at: time } as Event),
    );
  expect([...at(1000, "4"), ...at(1000, "5"), ...at(1000, "6")]).toEqual([
    "prefetch run/4/b",
    "prefetch run/5/b",
  ]);
  expect(at(500_000, "7")).toEqual([]);
  expect(at(700_000, "8")).toEqual(["prefetch run/8/b"]);
});

test("prefetch: false still retains and releases", () => {
  const app = new App();
  const observe = policy({ prefetch: false });
  const actions = short(observe(...app.run("1", "a", "b"), ...app.run("2", "a", "b")));
  expect(actions.filter((line) => line.startsWith("prefetch"))).toEqual([]);
  expect(actions).toEqual(expect.arrayContaining(["retain run/1/a", "retain anchor/a", "release run/1/a"]));
});

test("an agent about to return is worth more than one that never does", () => {
  const app = new App();
  const observe = policy();
  for (let i = 0; i < 5; i++) observe(...app.run(`${i}`, "once", "a", "b", "a", "b", "a"));
  observe(app.start("x"), app.call("x", "once", 1), app.call("x", "a", 2));
  const actions = observe(app.call("x", "b", 3));
  const value = (agent: string) =>
    actions
      .filter((action) => action.type === "retain" && action.prefix.agent === agent && action.prefix.run)
      .map((action) => ("value" in action ? action.value : -1))[0] ?? -1;
  // A return at the next step is a rate of 1, and that is worth 1/2.
  expect(value("a")).toBeGreaterThan(0.4);
  expect(value("once")).toBeLessThan(0.1);
});

const introduce = (agent: string): Event => ({
  type: "anchor",
  at: 0,
  agent,
  anchor: { hash: `anchor of ${agent}`, length: 4000 },
});

test("an agent whose anchor is known is prefetched before its first call, also when the graph says only one in three", () => {
  const app = new App();
  const agents = ["a", "b", "c", "d"];
  const edges = ["b", "c", "d"].map((to) => ({ from: "a", to, weight: 1 / 3 }));
  const topology: Event = { type: "topology", at: 0, graph: "g", agents, edges };
  const unknown = policy();
  expect(prefetched(unknown(topology, app.start("1"), app.call("1", "a", 1)))).toEqual([]);
  const known = policy();
  known(topology, ...agents.map(introduce), app.start("1"));
  expect(prefetched(known(app.call("1", "a", 1)))).toEqual(["prefetch run/1/b", "prefetch run/1/c"]);
});

const odds = (value: number) => value / (1 - value);

test("what a run's prefixes will be worth changes for all of them in the same proportion", () => {
  const app = new App();
  const observe = policy();
  let at = 0;
  let latest: readonly Advice[] = [];
  for (let index = 1; index < 60; index++) {
    const call = app.call("1", index % 2 === 0 ? "a" : "b", index) as RequestStartEvent;
    const { prompt: _, ...whose } = call;
    observe({ ...call, at: (at += 500 + (index % 5) * 100) });
    latest = observe({ ...whose, type: "request-end", at: (at += 100), status: "completed" });
  }
  const factors = latest.flatMap((hint) =>
    hint.type === "retain" && hint.later
      ? [hint.later.map(([afterMs, value]) => [afterMs, odds(value) / odds(hint.value)] as const)]
      : [],
  );
  const [one = [], other = []] = factors;
  expect(factors).toHaveLength(2);
  expect(one.length).toBeGreaterThan(2);
  expect(Math.max(...one.map(([, factor]) => factor))).toBeGreaterThan(1.5);
  for (const [i, [afterMs, factor]] of one.entries()) {
    expect(other[i]?.[0]).toBe(afterMs);
    expect(other[i]?.[1]).toBeCloseTo(factor);
  }
});

test("what a thread's runs hand on is told once as long as its value stays the same", () => {
  const app = new App();
  class Steady extends LearnedPredictor {
    override reuse = () => 0.5;
    override outlook = () => [];
  }
  const { observe } = layerOf({ prefetch: false }, undefined, new Steady());
  const play = (run: string, ...agents: string[]) =>
    short(
      observe(
        app.start(run, "chat"),
        ...agents.map((agent): Event => ({ ...(app.call("chat", agent) as RequestStartEvent), run })),
        app.end(run, "completed", "chat"),
      ),
    );
  expect(play("1", "a", "b")).toContain("retain run/1/b");
  expect(play("2", "a")).not.toContain("retain run/1/b");
  const third = play("3", "a", "b");
  expect(third).toContain("release run/1/b");
  expect(third).toContain("retain run/3/b");
});
