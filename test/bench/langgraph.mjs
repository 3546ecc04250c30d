import { readFileSync } from "node:fs";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "../../dist/index.js";
import { createFramework } from "../../dist/langgraph/index.js";
import { splice } from "../../dist/langgraph/splice.js";
import { summarise } from "./summarise.mjs";

const NODES = 8;
/** Invocations in one sample, samples that count, and samples before them. */
const RUNS = 2;
const ROUNDS = 200;
const WARM_UP = 100;

/** An engine that answers every hint at once, so that only cachesage's own time is measured. */
const silentEngine = () => ({
  specificationVersion: "v1",
  name: "silent",
  baseURL: "http://127.0.0.1:9/v1",
  supports: { retain: "native", release: "native", prefetch: "native" },
  connect: async () => ({ engine: "silent", models: [] }),
  apply: async (hints) => hints.map(() => ({ status: "applied" })),
  close: async () => {},
});

function graphOf(wrap = (node) => node) {
  let builder = new StateGraph(MessagesAnnotation);
  for (let i = 0; i < NODES; i++) {
    const model = new FakeListChatModel({ responses: ["ok"] });
    const node = async (state, config) => {
      const answer = await model.invoke(state.messages.slice(0, 2), config);
      // A real request would let timers and hints have their turn.
      await new Promise(setImmediate);
      return { messages: [answer] };
    };
    builder = builder.addNode(`node${i}`, wrap(node));
  }
  builder.addEdge("__start__", "node0");
  for (let i = 1; i < NODES; i++) builder.addEdge(`node${i - 1}`, `node${i}`);
  return builder.addEdge(`node${NODES - 1}`, "__end__").compile();
}

/** A host that takes everything and does nothing with it. */
const silentHost = () => ({
  clock: performance,
  baseURL: "http://127.0.0.1:9/v1",
  cacheHints: false,
  emit: () => {},
  decorate: () => undefined,
  requestBody: () => {},
  answer: () => {},
  fault: (where, error) => {
    throw new Error(where, { cause: error });
  },
  warn: () => {},
});

/** CPU microseconds of this process a node hop, over a few runs in a row: other processes do not count. */
async function hop(run) {
  const before = process.cpuUsage();
  for (let i = 0; i < RUNS; i++) await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / RUNS / NODES;
}

/**
 * Runs the variants in turn, the order going round, and summarises each one's difference to `plain` in the same
 * round: what slows the machine down for a while slows all. `plain` itself is summarised as it is, and a second plain
 * graph as `noise` says how far the others can be trusted.
 */
async function race({ plain, noise, ...others }) {
  const variants = Object.entries({ plain, noise, ...others });
  const times = Object.fromEntries(variants.map(([name]) => [name, []]));
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const taken = {};
    for (let i = 0; i < variants.length; i++) {
      const [name, run] = variants[(round + i) % variants.length];
      taken[name] = await hop(run);
    }
    if (round < WARM_UP) continue;
    for (const [name] of variants)
      times[name].push(name === "plain" ? taken.plain : taken[name] - taken.plain);
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summarise(values)]));
}

const input = { messages: [{ role: "user", content: "hello" }] };

/** A node hop with the context set by wrapNode and no handler anywhere, against a plain graph. */
export async function context() {
  const sage = await CacheSage.connect({ engine: silentEngine() });
  const graphs = { plain: graphOf(), noise: graphOf(), context: graphOf((node) => sage.wrapNode(node)) };
  return race(mapped(graphs, (graph) => () => graph.invoke(input)));
}

/**
 * A node hop of an instrumented graph, against LangChain's callback manager with one awaited handler that does nothing:
 * `alone` tells a host that does nothing, `decisions` adds the learner and the policies, `hints` sends what they decide.
 */
export async function observation() {
  const observing = await CacheSage.connect({ engine: silentEngine() });
  const hinting = await CacheSage.connect({ engine: silentEngine(), cacheHints: true });
  const names = [
    "handleChainStart",
    "handleChainEnd",
    "handleChainError",
    "handleChatModelStart",
    "handleLLMEnd",
    "handleLLMError",
    "handleToolStart",
    "handleToolEnd",
    "handleToolError",
    "handleLLMNewToken",
  ];
  const noop = {
    name: "noop",
    awaitHandlers: true,
    ...Object.fromEntries(names.map((name) => [name, () => {}])),
  };
  const plain = { plain: graphOf(), noise: graphOf() };
  const observed = {
    alone: createFramework(silentHost()).instrument(graphOf()),
    decisions: observing.instrument(graphOf()),
    hints: hinting.instrument(graphOf()),
  };
  return race({
    ...mapped(plain, (graph) => () => graph.invoke(input, { callbacks: [noop] })),
    ...mapped(observed, (graph) => () => graph.invoke(input)),
  });
}

function mapped(values, change) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}

/** Adding a field to a Chat Completions body of some 96 KB that holds code, up to the flat text that fetch sends. */
export function splicing() {
  const code = readFileSync(new URL(import.meta.url), "utf8").slice(0, 1900);
  const messages = Array.from({ length: 48 }, (_, i) => ({ role: "user", content: `${i} ${code}` }));
  const body = JSON.stringify({ model: "default", messages });
  const actions = [{ action_id: "1", payload: { value: 0.5 } }];
  const fields = { kv_hints: { protocol_version: "1", message_id: "x", actions } };
  const times = [];
  for (let i = -500; i < 5000; i++) {
    // A string that was just built, as JSON.stringify gives it to fetch.
    const fresh = JSON.parse(JSON.stringify({ body })).body;
    const started = process.hrtime.bigint();
    const spliced = splice(fresh, fields);
    // Reading a character makes V8 put the pieces together.
    spliced?.charCodeAt(0);
    if (i >= 0) times.push(Number(process.hrtime.bigint() - started) / 1000);
    if (spliced === undefined) throw new Error("nothing was spliced");
  }
  return { kilobytes: body.length / 1024, ...summarise(times) };
}
