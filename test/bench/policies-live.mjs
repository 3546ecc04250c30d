// What each policy at the gate does to a real LangGraph.js app on the embedded engine: the same load with the policy off and on,
// in turn, in one process. Prints one line a measure. Names of policies on the command line choose. A few minutes.
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";
import { AIMessage, tool } from "langchain";
import { mean, median, quantile } from "simple-statistics";
import { z } from "zod";
import { CacheSage } from "../../dist/index.js";
import { decidingAll } from "./gate.mjs";
import { compareArms, serverMeasures } from "./server-arms.mjs";
import { number } from "./summarise.mjs";
import { randomNumbers } from "./workload.mjs";

const REPEATS = 3;
/** Runs of a router graph. */
const LEARNING = 10;
/** Calls at about twice what the engine serves. */
const OVERLOAD = 80;
const MEASURED = 30;
const words = (count, salt) =>
  Array.from({ length: count }, (_, i) => `${salt}${(i * 7919) % 997}`).join(" ");

/** An answer that streams, so that its first token is seen. */
async function streamed(model, messages) {
  let answer;
  for await (const chunk of await model.stream(messages)) answer = answer ? answer.concat(chunk) : chunk;
  return answer;
}

/** Runs a load against a fresh engine, with these policies. */
async function withSage(policies, play, engineOptions = {}, cacheHints = false) {
  const requests = new Map();
  const sage = await CacheSage.connect({
    engine: "embedded",
    engineOptions: { model: "pico", kvTokens: 16384, ...engineOptions },
    cacheHints,
    policies: { "prefix-cache": false, ...policies },
    holdBudgetMs: 120_000,
    onEvent: (event) => {
      if (event.type === "request-start") requests.set(event.request, { ...event });
      else if (event.type === "request-first-token") requests.get(event.request).first = event.at;
      else if (event.type === "request-end")
        Object.assign(requests.get(event.request), { end: event.at, usage: event.usage ?? {} });
    },
  });
  const model = new ChatOpenAI({
    maxTokens: 8,
    maxRetries: 0,
    ...sage.model({ model: "pico" }),
  });
  const graphOf = (system) =>
    sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("worker", async ({ messages }) => ({
          messages: [await streamed(model, [{ role: "system", content: system }, ...messages])],
        }))
        .addEdge(START, "worker")
        .compile(),
    );
  const result = await play({ sage, model, graphOf }).finally(() => sage.close());
  const faults = sage.stats.faults;
  if (faults > 0) throw new Error(`${faults} faults`);
  return { result, requests: [...requests.values()], ledger: [...sage.ledger] };
}

const ask = (graph, content, configurable = {}) =>
  graph.invoke({ messages: [{ role: "user", content }] }, { configurable });
function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const tenantOf = ({ session }) => session.split(" ")[0];

/** One tenant asks for ten times as much as two others, all at once. */
async function greedy(policies) {
  const { requests } = await withSage(policies, async ({ graphOf }) => {
    const graph = graphOf("You answer.");
    const tenants = { greedy: 60, one: 6, two: 6 };
    const runs = Object.entries(tenants).flatMap(([tenant, count]) =>
      Array.from({ length: count }, (_, i) =>
        ask(graph, `${tenant} ${words(40, `${tenant}${i}-`)}`, { tenant, thread_id: `${tenant} ${i}` }),
      ),
    );
    await Promise.all(runs);
  });
  const lastOf = (name) =>
    Math.max(...requests.filter((one) => tenantOf(one) === name).map(({ end }) => end));
  const start = Math.min(...requests.map(({ at }) => at));
  return {
    small: median(["one", "two"].map((name) => lastOf(name) - start)),
    all: Math.max(...requests.map(({ end }) => end)) - start,
  };
}

const limit = (most) => ({ initial: most, min: most, max: most });
/** Hints reach the engine, which serves in order, or by priority. */
const fcfs = { cacheHints: true, engine: { schedulingPolicy: "fcfs" } };
const byPriority = { cacheHints: true, engine: { schedulingPolicy: "priority" } };
const isUrgent = (i) => i % 8 === 4;

/** Calls of which one in eight is of high priority; `isAlone`: those alone, at the same times. */
async function overload({ policies = {}, isAlone = false, engine, cacheHints }, everyMs, seed = 0) {
  const play = async ({ graphOf }) => {
    const graph = graphOf("You answer.");
    await ask(graph, "hello");
    const random = randomNumbers(seed);
    const runs = [];
    const started = performance.now();
    for (let i = 0, at = 0; i < OVERLOAD; i++, at += everyMs * 2 * random()) {
      await pause(Math.max(0, at - (performance.now() - started)));
      const priority = isUrgent(i) ? 1 : 0.2;
      if (!isAlone || isUrgent(i))
        runs.push(ask(graph, words(60, `o${seed}-${i}-`), { priority, thread_id: `${priority} ${i}` }));
    }
    await Promise.all(runs);
  };
  const { requests } = await withSage(policies, play, engine, cacheHints);
  const calls = requests.slice(1);
  const of = (priority) =>
    calls
      .filter(({ session }) => session?.startsWith(`${priority} `))
      .slice(2)
      .map(({ at, first }) => first - at);
  const high = of("1");
  const low = of("0.2");
  const start = Math.min(...calls.map(({ at }) => at));
  const end = Math.max(...calls.map((one) => one.end));
  return {
    p50: median(high),
    p90: quantile(high, 0.9),
    p99: quantile(high, 0.99),
    low: low.length === 0 ? 0 : mean(low),
    lowP99: low.length === 0 ? 0 : quantile(low, 0.99),
    perSecond: (calls.length * 1000) / (end - start),
  };
}

/** Branches that join: one calls the model four times, three others once. Four apps, each with one run after the other. */
async function joins({ policies, engine, cacheHints }, seed = 0) {
  const times = [];
  let count = 0;
  const play = async ({ sage, model }) => {
    const node = (name, calls) => async () => {
      for (let i = 0; i < calls; i++)
        await streamed(model, [{ role: "user", content: words(60, `${name}${seed}-${count++}-`) }]);
      return {};
    };
    const builder = new StateGraph(MessagesAnnotation)
      .addNode("short1", node("short1", 1))
      .addNode("short2", node("short2", 1))
      .addNode("short3", node("short3", 1))
      .addNode("long", node("long", 4))
      .addNode("join", node("join", 1));
    for (const name of ["short1", "short2", "short3", "long"])
      builder.addEdge(START, name).addEdge(name, "join");
    const graph = sage.instrument(builder.compile());
    const started = performance.now();
    await Promise.all(
      Array.from({ length: 4 }, async (_, app) => {
        await pause(40 * app);
        for (let round = 0; round < 4; round++) {
          const began = performance.now();
          await graph.invoke({ messages: [] });
          if (round > 0) times.push(performance.now() - began);
        }
      }),
    );
    return performance.now() - started;
  };
  const { result } = await withSage(policies, play, engine, cacheHints);
  return { run: mean(times), p99: quantile(times, 0.99), all: result };
}

/** Twenty runs that look up one of four things each, with a tool that takes 50 ms. */
async function lookups(policies) {
  let calls = 0;
  const look = tool(
    async ({ key }) => {
      calls++;
      await pause(50);
      return `value of ${key}`;
    },
    { name: "look", description: "Looks up.", schema: z.object({ key: z.string() }) },
  );
  const { result } = await withSage(policies, async ({ sage }) => {
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("tools", new ToolNode([look]))
        .addEdge(START, "tools")
        .compile(),
    );
    const started = performance.now();
    const answers = [];
    for (let i = 0; i < 20; i++) {
      const call = { name: "look", args: { key: `${i % 4}` }, id: `${i}`, type: "tool_call" };
      const { messages } = await graph.invoke({
        messages: [new AIMessage({ content: "", tool_calls: [call] })],
      });
      answers.push(messages.at(-1).content);
    }
    return { ms: performance.now() - started, answers: answers.join() };
  });
  return { calls, ...result };
}

/** A router whose model is asked who is next in so many tokens, and which then looks something up for so long. */
function routerGraph({ sage }, { decideTokens, lookupMs }) {
  const agent = (system, maxTokens) => {
    const model = new ChatOpenAI({ maxTokens, maxRetries: 0, ...sage.model({ model: "pico" }) });
    return ({ messages }) => streamed(model, [{ role: "system", content: system }, ...messages]);
  };
  const decide = agent("You decide who is next.", decideTokens);
  const research = agent("You research.", 96);
  const write = agent("You write.", 96);
  return sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("router", async (state) => {
        await decide(state);
        await pause(lookupMs);
        return {};
      })
      .addNode("researcher", async (state) => ({ messages: [await research(state)] }))
      .addNode("writer", async (state) => ({ messages: [await write(state)] }))
      .addEdge(START, "router")
      .addConditionalEdges("router", (_state, { configurable }) => configurable.next, [
        "researcher",
        "writer",
      ])
      .compile(),
  );
}

/**
 * Runs of a router graph that goes to the researcher in four of five of them, one after the other, each on two engines in
 * turn: without and with the policy. The first ones are for learning. Times are medians of the runs that went to one agent,
 * weighted by how many did, so that a hiccup of the machine is no measure.
 */
async function decisions(on, seed, router) {
  const random = randomNumbers(seed);
  const plan = Array.from({ length: LEARNING + MEASURED }, () => (random() < 0.8 ? "researcher" : "writer"));
  const arms = [{}, on].map((policies) => {
    const turn = Array.from(plan, () => deferred());
    return { policies, turn, times: [], answers: [] };
  });
  const played = arms.map(({ policies, turn, times, answers }) =>
    withSage(policies, async (app) => {
      const graph = routerGraph(app, router);
      for (const [i, next] of plan.entries()) {
        const done = await turn[i].promise;
        const started = performance.now();
        const { messages } = await ask(graph, words(30, `s${seed}-${i}-`), { next });
        times.push({ next, ms: performance.now() - started });
        answers.push(messages.at(-1).content);
        done();
      }
    }),
  );
  for (const i of plan.keys())
    for (const arm of i % 2 === 0 ? arms : arms.toReversed())
      await new Promise((done) => arm.turn[i].resolve(done));
  return (await Promise.all(played)).map(({ requests, ledger }, arm) => {
    const times = arms[arm].times.slice(LEARNING);
    const outcomes = ledger.filter(({ action }) => action.type === "speculate").map(({ outcome }) => outcome);
    const tokens = requests.reduce(
      (sum, { usage }) => sum + usage.promptTokens + (usage.outputTokens ?? 0),
      0,
    );
    return {
      ms: ["researcher", "writer"].reduce((sum, agent) => {
        const own = times.filter(({ next }) => next === agent).map(({ ms }) => ms);
        return sum + (own.length === 0 ? 0 : (median(own) * own.length) / times.length);
      }, 0),
      early: outcomes.length,
      used: outcomes.filter(({ status }) => status === "applied").length,
      lost: outcomes.reduce((sum, { tokens: own = 0 }) => sum + own, 0) / tokens,
      answers: arms[arm].answers.join("\n"),
    };
  });
}

/** Both arms at once, by seed; the median of each measure. */
async function compareDecisions(router, options = {}) {
  const rows = { off: [], on: [] };
  const same = [];
  for (let seed = 1; seed <= REPEATS; seed++) {
    const [off, on] = await decisions(
      { speculation: { nodes: ["researcher", "writer"], ...options } },
      seed,
      router,
    );
    rows.off.push(off);
    rows.on.push(on);
    same.push(off.answers === on.answers);
  }
  const answers = String(same.every(Boolean));
  return { off: { ...middle(rows.off), answers: "true" }, on: { ...middle(rows.on), answers } };
}

/** The median of each measure. */
const middle = (arm) =>
  Object.fromEntries(
    Object.keys(arm[0]).map((key) => [
      key,
      typeof arm[0][key] === "number" ? median(arm.map((row) => row[key])) : arm[0][key],
    ]),
  );

/** Off and on in turn; the median of each measure. */
async function compare(measure, on) {
  const rows = { off: [], on: [] };
  for (let i = 0; i < REPEATS; i++) {
    for (const arm of i % 2 === 0 ? ["off", "on"] : ["on", "off"])
      rows[arm].push(await measure(arm === "on" ? on : {}));
  }
  return { off: middle(rows.off), on: middle(rows.on) };
}

function us({ mean: average, p99 }) {
  return `mean ${average.toFixed(1)} us, p99 ${p99.toFixed(1)} us`;
}

const decisionMeasures = (router) => ({
  ms: `a run of a router (${router}) that is 80 % predictable, and of its agent, ms`,
  early: `nodes run early in ${LEARNING + MEASURED} runs`,
  used: "of these used",
  lost: "tokens spent in vain, share of all",
  answers: "answers",
});

/** What is measured, by policy; with names on the command line, only these. */
const measures = {
  "tool-memo": async () => [
    await compare(lookups, { "tool-memo": { tools: { look: { scope: "global" } } } }),
    { calls: "tool calls of 20 lookups of 4 things", ms: "time, ms", answers: "answers" },
  ],
  speculation: async () => [
    await compareDecisions({ decideTokens: 96, lookupMs: 0 }),
    decisionMeasures("a model call"),
  ],
  "speculation with a lookup": async () => [
    await compareDecisions({ decideTokens: 8, lookupMs: 100 }, { overlapCalls: false }),
    decisionMeasures("a short model call and a lookup of 100 ms"),
  ],
  fairness: async () => [
    await compare(greedy, { fairness: { concurrency: 16 } }),
    {
      small: "until a small tenant is through, ms",
      all: "until everyone is through, ms",
    },
  ],
};

const asked = process.argv.slice(2);
for (const [policy, measure] of Object.entries(measures)) {
  if (asked.length > 0 && !asked.includes(policy.split(" ")[0])) continue;
  const [{ off, on }, names] = await measure();
  for (const [key, name] of Object.entries(names))
    console.log(
      key === "answers"
        ? `${policy}: ${name} ${off[key] === on[key] ? "equal" : "NOT EQUAL"}`
        : `${policy}: ${name}: off ${number(off[key])}, on ${number(on[key])}`,
    );
}
if (asked.length === 0 || asked.includes("admission")) {
  const { perSecond: capacity } = await overload({}, 0);
  console.log(`admission: the engine serves ${number(capacity)} calls a second`);
  await compareArms(
    "admission",
    {
      alone: () => ({ isAlone: true }),
      off: () => ({}),
      "on, engine first come first served": () => ({ ...fcfs, policies: { admission: {} } }),
      "on, engine by priority": () => ({ ...byPriority, policies: { admission: {} } }),
      "off, engine by priority": () => byPriority,
    },
    (arm, seed) => overload(arm, 500 / capacity, seed),
    {
      p50: "TTFT of high priority at twice the capacity, p50 ms",
      p90: "the same, p90 ms",
      p99: "the same, p99 ms",
      low: "TTFT of low priority, mean ms",
      lowP99: "the same, p99 ms",
      perSecond: "calls a second",
    },
  );
}
if (asked.length === 0 || asked.includes("critical-path")) {
  await compareArms(
    "admission, critical path",
    {
      off: () => ({}),
      "four at once": () => ({ ...fcfs, policies: { admission: limit(4) } }),
      "four at once, engine by priority": () => ({ ...byPriority, policies: { admission: limit(4) } }),
      "all at once, engine by priority": () => ({ ...byPriority, policies: { admission: limit(256) } }),
    },
    joins,
    {
      run: "a run whose branches join, four apps at once, mean ms",
      p99: "the same, p99 ms",
      all: "until all runs are through, ms",
    },
  );
}
for (const [policy, measure] of Object.entries(serverMeasures))
  if (asked.length === 0 || asked.includes(policy)) await measure();
if (asked.length === 0 || asked.includes("decision")) {
  const { all, gate } = await decidingAll();
  console.log(`all policies, a model call, 24 agents, 100 open runs: ${us(all)}`);
  console.log(`of that at the gate: ${us(gate)}`);
}
