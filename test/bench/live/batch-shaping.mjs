import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { mean, quantile } from "simple-statistics";
import { startEmbeddedEngine } from "../../../dist/embedded/index.js";
import { ensureModelFile } from "../../../dist/embedded/model/model-file.js";
import { presets } from "../../../dist/embedded/model/presets.js";
import { CacheSage } from "../../../dist/index.js";
import { shuffled } from "../../../dist/sim/shuffled.js";
import { ask, drawFrom, pause, withApp, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

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
  const { url, engine, close } = await start();
  const connect = (options) => CacheSage.connect(url, { engine, ...options });
  const load = async ({ graphOf }) => {
    await ask(graphOf("warm up", "nobody"), "hello");
    await play(graphOf);
  };
  try {
    // llama-server closes connections that it says it keeps; with hints each call has its own.
    const { calls } = await withApp(connect, policies, load, { cacheHints: true });
    return calls.slice(1);
  } finally {
    await close();
  }
}

function summary(requests) {
  const ttft = requests.map(({ at, first }) => first - at);
  return { ttft: mean(ttft), p99: quantile(ttft, 0.99) };
}

const computedOf = ({ usage }) => usage.promptTokens - (usage.cachedTokens ?? 0);

/** Bursts of runs, each at a cold anchor of its own, which all come within 15 ms. */
const burst = (start) => async (policies, seed) => {
  const requests = await withEngine(start, policies, async (graphOf) => {
    for (let i = 0; i < BURSTS; i++) {
      const graph = graphOf(words(ANCHOR, `b${seed}${i}-`), `worker ${i}`);
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
const queue = (start) => async (policies, seed) => {
  const draw = drawFrom(seed);
  const order = shuffled(
    Array.from({ length: AGENTS * CALLS }, (_, i) => i % AGENTS),
    draw,
  );
  const requests = await withEngine(start, policies, async (graphOf) => {
    const graphs = Array.from({ length: AGENTS }, (_, i) =>
      graphOf(words(ANCHOR, `q${seed}${i}-`), `agent ${i}`),
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

const engines = {
  embedded: (options) => () => embedded(options),
  "llama-server": (options) => () => llamaServer(options),
};

/** Whether there is such an engine here; says so where there is none. */
async function isThere(name, start) {
  const engine = await start();
  await engine?.close();
  if (!engine) console.log(`batch-shaping, ${name}: skipped, no llama-server on PATH`);
  return engine !== undefined;
}

/** Two calls at once, as for an engine that serves no more well. */
const TWO = { admission: { initial: 2, min: 2, max: 2, reserved: 0 } };
const shaped = (others) => ({ off: () => others, on: () => ({ ...others, "batch-shaping": true }) });

/** On an engine of its own for each arm and seed. */
export default async function batchShaping() {
  const bursts = {
    embedded: engines.embedded({ kvTokens: 16384 }),
    "llama-server with 4 slots": engines["llama-server"]({ slots: 4 }),
    "llama-server with 16 slots": engines["llama-server"]({ slots: 16 }),
  };
  for (const [name, start] of Object.entries(bursts)) {
    if (!(await isThere(name, start))) continue;
    await compareArms(`batch-shaping, ${name}`, shaped({}), burst(start), {
      twice: "prompt tokens of a 16-run burst computed more than once",
      ttft: "mean TTFT, ms",
      p99: "p99 TTFT, ms",
    });
  }
  const queues = {
    "embedded with room for two anchors": engines.embedded({ kvTokens: 1536 }),
    "llama-server with 2 slots": engines["llama-server"]({ slots: 2 }),
  };
  for (const [name, start] of Object.entries(queues)) {
    if (!(await isThere(name, start))) continue;
    await compareArms(`batch-shaping, ${name}`, shaped(TWO), queue(start), {
      hitRate: "hit rate of 32 calls of 4 agents that wait for 2 places, %",
      ttft: "mean TTFT, ms",
      p99: "p99 TTFT, ms",
      ms: "until all are served, ms",
    });
  }
}
