import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { mean, quantile } from "simple-statistics";
import { startEmbeddedEngine } from "../../dist/embedded/index.js";
import { ensureModelFile } from "../../dist/embedded/model/model-file.js";
import { presets } from "../../dist/embedded/model/presets.js";
import { CacheSage } from "../../dist/index.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const words = (count, salt) =>
  Array.from({ length: count }, (_, i) => `${salt}${(i * 7919) % 997}`).join(" ");

/** Calls that come to one cold anchor at once, and how often that happens to an engine. */
const BURST = 16;
const BURSTS = 4;
/** Agents whose anchors the engine cannot all keep, and calls of each that wait at once. */
const AGENTS = 4;
const CALLS = 8;
/** Words of an anchor. */
const ANCHOR = 180;

async function embedded(options) {
  const engine = await startEmbeddedEngine({ model: "pico", sequences: 32, ...options });
  return { url: engine.baseURL, engine: "embedded", close: () => engine.close() };
}

/** llama-server of PATH with so many slots of 4,096 tokens; undefined where there is none. */
async function llamaServer({ slots }) {
  const model = await ensureModelFile(presets.pico, 1, tmpdir());
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const flags =
    `--host 127.0.0.1 --port ${port} --offline --no-ui -t 1 -c ${slots * 4096} --parallel ${slots} --no-kv-unified ` +
    `--metrics --threads-http 32 --cache-ram 0`;
  const server = spawn("llama-server", ["-m", model, "--alias", "pico", ...flags.split(" ")], {
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => server.once("close", resolve).once("error", resolve));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 600 && server.exitCode === null && server.pid !== undefined; tries++) {
    if (
      await fetch(`${url}/health`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return { url, engine: "llama-server", close: () => server.kill() && ended };
    await pause(50);
  }
  return undefined;
}

/** Plays a load against a fresh engine; what its requests were. */
async function withEngine(start, policies, play) {
  const engine = await start();
  const requests = new Map();
  const sage = await CacheSage.connect(engine.url, {
    engine: engine.engine,
    // llama-server closes connections that it says it keeps; with hints each call has its own.
    cacheHints: true,
    policies: { "prefix-cache": false, ...policies },
    holdBudgetMs: 120_000,
    onEvent: (event) => {
      if (event.type === "request-start") requests.set(event.request, { ...event });
      else if (event.type === "request-first-token") requests.get(event.request).first = event.at;
      else if (event.type === "request-end")
        Object.assign(requests.get(event.request), { end: event.at, usage: event.usage ?? {} });
    },
  });
  const model = new ChatOpenAI({ maxTokens: 8, maxRetries: 0, ...sage.model({ model: "pico" }) });
  const graphOf = (agent, system) =>
    sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode(agent, async ({ messages }) => {
          let answer;
          for await (const chunk of await model.stream([{ role: "system", content: system }, ...messages]))
            answer = answer ? answer.concat(chunk) : chunk;
          return { messages: [answer] };
        })
        .addEdge(START, agent)
        .compile(),
    );
  try {
    await ask(graphOf("nobody", "warm up"), "hello");
    await play(graphOf);
  } finally {
    await sage.close();
    await engine.close();
  }
  if (sage.stats.faults > 0) throw new Error(`${sage.stats.faults} faults`);
  return [...requests.values()].slice(1);
}

const ask = (graph, content) => graph.invoke({ messages: [{ role: "user", content }] });

function summary(requests) {
  const ttft = requests.map(({ at, first }) => first - at);
  return { ttft: mean(ttft), p99: quantile(ttft, 0.99) };
}

const computedOf = ({ usage }) => usage.promptTokens - (usage.cachedTokens ?? 0);

/** Bursts of runs, each at a cold anchor of its own, which all come within 15 ms. */
export const burst = (start) => async (policies, seed) => {
  const requests = await withEngine(start, policies, async (graphOf) => {
    for (let i = 0; i < BURSTS; i++) {
      const graph = graphOf(`worker ${i}`, words(ANCHOR, `b${seed}${i}-`));
      await Promise.all(
        Array.from({ length: BURST }, async (_, task) => {
          await pause(task);
          await ask(graph, `task ${task}`);
        }),
      );
    }
  });
  let twice = 0;
  for (let i = 0; i < BURSTS; i++) {
    const own = requests.slice(i * BURST, (i + 1) * BURST);
    const sum = own.reduce((total, one) => total + computedOf(one), 0);
    twice += sum - Math.max(...own.map(computedOf));
  }
  return { twice: twice / BURSTS, ...summary(requests) };
};

/** Calls of several agents, in an order by chance, that wait at once for one of two places. */
export const queue = (start) => async (policies, seed) => {
  const random = xoroshiro128plus(seed);
  const order = Array.from({ length: AGENTS * CALLS }, (_, i) => i % AGENTS);
  for (let i = order.length - 1; i > 0; i--) {
    const other = uniformInt(random, 0, i);
    [order[i], order[other]] = [order[other], order[i]];
  }
  const requests = await withEngine(start, policies, async (graphOf) => {
    const graphs = Array.from({ length: AGENTS }, (_, i) =>
      graphOf(`agent ${i}`, words(ANCHOR, `q${seed}${i}-`)),
    );
    await Promise.all(order.map((agent, i) => ask(graphs[agent], `task ${i}`)));
  });
  const prompt = requests.reduce((sum, { usage }) => sum + usage.promptTokens, 0);
  const computed = requests.reduce((sum, one) => sum + computedOf(one), 0);
  const started = Math.min(...requests.map(({ at }) => at));
  return {
    hitRate: (100 * (prompt - computed)) / prompt,
    ms: Math.max(...requests.map(({ end }) => end)) - started,
    ...summary(requests),
  };
};

export const engines = {
  embedded: (options) => () => embedded(options),
  "llama-server": (options) => () => llamaServer(options),
};

/** Whether there is such an engine here. */
export async function isThere(start) {
  const engine = await start();
  await engine?.close();
  return engine !== undefined;
}
