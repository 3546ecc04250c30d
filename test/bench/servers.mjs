import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { mean, median, quantile } from "simple-statistics";
import { z } from "zod";
import { startEmbeddedEngine } from "../../dist/embedded/index.js";
import { CacheSage } from "../../dist/index.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Numbers from 0 to below `below`; same seed, same numbers. */
function drawFrom(seed) {
  const random = xoroshiro128plus(seed);
  return (below) => uniformInt(random, 0, below - 1);
}

const words = (count, salt) =>
  Array.from({ length: count }, (_, i) => `${salt}${(i * 7919) % 997}`).join(" ");

/** An answer that streams, so that its first token is seen. */
async function streamed(model, messages) {
  let answer;
  for await (const chunk of await model.stream(messages)) answer = answer ? answer.concat(chunk) : chunk;
  return answer;
}

/** Sends each call to a server by this rule, whatever is cached where. */
const blind = (name, choose) => ({
  name,
  description: "",
  subject: "request",
  actions: ["route"],
  options: z.strictObject({}),
  create: () => {
    const chosen = new Map();
    return {
      act: (ranked, _predictions, { workers }) =>
        ranked.map(({ item: call }) => {
          if (!chosen.has(call.id)) chosen.set(call.id, workers[choose(workers.length)].baseURL);
          return { type: "route", call, baseURL: chosen.get(call.id) };
        }),
    };
  },
});

/** What `routing` is measured against: nothing (sessions stick by hashing), taking turns, and chance. */
export const routingArms = {
  hashing: () => ({}),
  "round robin": () => {
    let next = 0;
    return { "round-robin": blind("round-robin", (count) => next++ % count) };
  },
  random: (seed) => ({ random: blind("random", drawFrom(seed + 100)) }),
  routing: () => ({ routing: true }),
};

/** Plays a load against fresh engines, the last of them behind `front` if there is one. */
async function withServers(policies, { servers = 2, front, ...engineOptions }, play) {
  const engines = await Promise.all(
    Array.from({ length: servers }, () =>
      startEmbeddedEngine({ model: "pico", threads: 1, sequences: 16, maxRunning: 8, ...engineOptions }),
    ),
  );
  const proxy = front && (await front(engines.at(-1).baseURL));
  const urls = engines.map(({ baseURL }) => baseURL);
  if (proxy) urls[servers - 1] = proxy.url;
  const requests = new Map();
  const sage = await CacheSage.connect(urls, {
    engine: "embedded",
    policies: { "prefix-cache": false, ...policies },
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
  });
  try {
    const model = new ChatOpenAI({ maxTokens: 8, maxRetries: 0, ...sage.model({ model: "pico" }) });
    await play({ sage, model });
    const { faults, repeats } = sage.stats;
    const calls = [...requests.values()];
    if (faults > 0 || calls.some(({ status }) => status !== "completed"))
      throw new Error(
        `${faults} faults, ${calls.filter(({ status }) => status !== "completed").length} calls failed`,
      );
    const loads = engines.map((engine) => engine.stats().promptTokens);
    return { calls, loads, repeats };
  } finally {
    await sage.close();
    proxy?.close();
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

/** Chats of three agents each, six at a time; an engine has room for most of them. */
export async function routed(policies, seed) {
  const draw = drawFrom(seed);
  const { calls, loads } = await withServers(policies, { kvTokens: 12_288 }, async ({ sage, model }) => {
    const builder = new StateGraph(MessagesAnnotation);
    const agents = ["planner", "coder", "tester"];
    for (const agent of agents)
      builder.addNode(agent, async ({ messages }) => ({
        messages: [await streamed(model, [{ role: "system", content: words(120, agent[0]) }, ...messages])],
      }));
    builder.addEdge(START, "planner").addEdge("planner", "coder").addEdge("coder", "tester");
    const graph = sage.instrument(builder.compile());
    const chat = async (thread) => {
      let messages = [];
      for (let turn = 0; turn < 3; turn++) {
        await pause(draw(150));
        messages.push({ role: "user", content: words(20 + draw(30), `${thread}-${turn}-`) });
        const state = await graph.invoke({ messages }, { configurable: { thread_id: `${thread}` } });
        messages = state.messages;
      }
    };
    let next = 0;
    const worker = async () => {
      while (next < 14) await chat(next++);
    };
    await Promise.all(Array.from({ length: 6 }, worker));
  });
  const prompt = calls.reduce((sum, { usage }) => sum + usage.promptTokens, 0);
  const cached = calls.reduce((sum, { usage }) => sum + (usage.cachedTokens ?? 0), 0);
  return {
    hitRate: cached / prompt,
    ttft: mean(calls.map(({ at, first }) => first - at)),
    peak: Math.max(...loads) / mean(loads),
  };
}

/** A server in front of an engine that lets one call in ten wait before it hands it on. */
function stalling(seed, stallMs) {
  return async (target) => {
    const draw = drawFrom(seed);
    const server = createServer((incoming, outgoing) => {
      const isStalled = incoming.url.endsWith("/chat/completions") && draw(10) === 0;
      const hand = () => {
        const options = { method: incoming.method, headers: incoming.headers };
        const onward = forward(new URL(incoming.url, target), options, (answer) => {
          outgoing.writeHead(answer.statusCode, answer.headers);
          answer.pipe(outgoing);
        });
        onward.on("error", () => outgoing.destroy());
        outgoing.on("close", () => onward.destroy());
        incoming.pipe(onward);
      };
      if (!isStalled) return hand();
      const timer = setTimeout(hand, stallMs);
      outgoing.on("close", () => clearTimeout(timer));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      url: `http://127.0.0.1:${server.address().port}/v1`,
      close: () => {
        server.closeAllConnections();
        server.close();
      },
    };
  };
}

/**
 * Single calls, two at a time, on three servers of which one stalls a tenth of its calls for two seconds: fewer than the budget
 * of repeats, by a little. With as many as the budget or more, chance decides how many of them are repeated.
 */
export async function stalled(policies, seed) {
  const { calls, repeats } = await withServers(
    policies,
    { servers: 3, front: stalling(seed, 2000) },
    async ({ sage, model }) => {
      const graph = sage.instrument(
        new StateGraph(MessagesAnnotation)
          .addNode("worker", async ({ messages }) => ({
            messages: [await streamed(model, [{ role: "system", content: "You answer." }, ...messages])],
          }))
          .addEdge(START, "worker")
          .compile(),
      );
      let next = 0;
      const worker = async () => {
        while (next < 400) {
          const id = next++;
          await graph.invoke(
            { messages: [{ role: "user", content: words(30, `${id}-`) }] },
            { configurable: { thread_id: `${id}` } },
          );
        }
      };
      await Promise.all([worker(), worker()]);
    },
  );
  // What is measured of an agent begins with its first calls.
  const ttft = calls.slice(50).map(({ at, first }) => first - at);
  return {
    p50: median(ttft),
    p99: quantile(ttft, 0.99),
    mean: mean(ttft),
    extra: repeats.made / calls.length,
    won: repeats.won,
  };
}
