import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { median } from "simple-statistics";
import { ask, embedded, pause, streamed, withApp, words } from "../live-app.mjs";
import { compareAtOnce, expectEqual } from "../live-arms.mjs";
import { randomNumbers } from "../workload.mjs";

/** Runs of a router graph: at first for learning, then for measuring. */
const LEARNING = 10;
const MEASURED = 30;

/** What a promise waits for. */
function deferred() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

/** A router whose model is asked who is next in so many tokens, and which then looks something up for so long. */
function routerGraph({ sage, modelOf }, { decideTokens, lookupMs }) {
  const agent = (system, maxTokens) => {
    const model = modelOf({ maxTokens });
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
    withApp(embedded(), policies, async (app) => {
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
  return (await Promise.all(played)).map(({ calls, ledger }, arm) => {
    const times = arms[arm].times.slice(LEARNING);
    const outcomes = ledger.filter(({ action }) => action.type === "speculate").map(({ outcome }) => outcome);
    const tokens = calls.reduce((sum, { usage }) => sum + usage.promptTokens + (usage.outputTokens ?? 0), 0);
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

/** Both arms at once, by seed. */
const compared = (name, router, options = {}) =>
  compareAtOnce(
    "speculation",
    async (seed) => {
      const policy = { nodes: ["researcher", "writer"], ...options };
      const [off, on] = await decisions({ speculation: policy }, seed, router);
      expectEqual("speculation", [off.answers, on.answers]);
      return { off, on };
    },
    {
      ms: `a run of a router (${name}) that is 80 % predictable, and of its agent, ms`,
      early: `nodes run early in ${LEARNING + MEASURED} runs`,
      used: "of these used",
      lost: "tokens spent in vain, share of all",
    },
  );

export default async () => {
  await compared("a model call", { decideTokens: 96, lookupMs: 0 });
  for (const lookupMs of [100, 250])
    await compared(
      `a short model call and a lookup of ${lookupMs} ms`,
      { decideTokens: 8, lookupMs },
      { overlapCalls: false },
    );
};
