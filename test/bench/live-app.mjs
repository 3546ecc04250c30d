// A real LangGraph.js app with some of the policies on, and what became of its model calls: by it the loads of live/ are played.
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { mean } from "simple-statistics";
import { CacheSage } from "../../dist/index.js";

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Words that no prompt with another salt has. */
export const words = (count, salt) =>
  Array.from({ length: count }, (_, i) => `${salt}${(i * 7919) % 997}`).join(" ");

/** Integers from 0 to below `below`; same seed, same numbers. */
export function drawFrom(seed) {
  const random = xoroshiro128plus(seed);
  return (below) => uniformInt(random, 0, below - 1);
}

/** An answer that streams, so that its first token is seen. */
export async function streamed(model, messages) {
  let answer;
  for await (const chunk of await model.stream(messages)) answer = answer ? answer.concat(chunk) : chunk;
  return answer;
}

export const ask = (graph, content, configurable = {}) =>
  graph.invoke({ messages: [{ role: "user", content }] }, { configurable });

/** An engine in this process, for one app. */
export const embedded =
  (engineOptions = {}) =>
  (options) =>
    CacheSage.connect({
      engine: "embedded",
      engineOptions: { model: "pico", kvTokens: 16384, ...engineOptions },
      ...options,
    });

/**
 * Plays a load by an app with these policies and no others.
 *
 * @param connect given the options, connects to the engine or engines.
 * @param options.model preset that the engine serves; default: pico.
 * @returns its model calls, each from `at` to `first` token to `end`; the ledger; what `play` returned.
 */
export async function withApp(connect, policies, play, { model: preset = "pico", ...options } = {}) {
  const requests = new Map();
  const sage = await connect({
    policies: { "prefix-cache": false, ...policies },
    holdBudgetMs: 120_000,
    onEvent: (event) => {
      if (event.type === "request-start") requests.set(event.request, { ...event });
      else if (event.type === "request-first-token") requests.get(event.request).first = event.at;
      else if (event.type === "request-end")
        Object.assign(requests.get(event.request), {
          end: event.at,
          usage: event.usage ?? {},
          status: event.status,
        });
    },
    ...options,
  });
  const modelOf = (fields) =>
    new ChatOpenAI({ maxTokens: 8, maxRetries: 0, ...fields, ...sage.model({ model: preset }) });
  const model = modelOf();
  const graphOf = (system, agent = "worker") =>
    sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode(agent, async ({ messages }) => ({
          messages: [await streamed(model, [{ role: "system", content: system }, ...messages])],
        }))
        .addEdge(START, agent)
        .compile(),
    );
  const result = await play({ sage, model, modelOf, graphOf }).finally(() => sage.close());
  const calls = [...requests.values()];
  const { faults, repeats } = sage.stats;
  const failed = calls.filter(({ status }) => status === "failed").length;
  if (faults > 0 || failed > 0) throw new Error(`${faults} faults, ${failed} calls failed`);
  return { result, calls, repeats, ledger: [...sage.ledger] };
}

/** Share of the prompts that was in cache, and mean milliseconds to the first token. */
export function hitsAndTtft(calls) {
  const sum = (tokens) => calls.reduce((all, { usage }) => all + (usage[tokens] ?? 0), 0);
  return {
    hitRate: sum("cachedTokens") / sum("promptTokens"),
    ttft: mean(calls.map(({ at, first }) => first - at)),
  };
}

/** The arms of loads about `prefix-cache`, as `compareArms` has them. */
export const LRU_AND_HINTS = {
  lru: () => ({ cacheHints: false, order: "lru" }),
  hints: () => ({ cacheHints: true, order: "scored" }),
};
