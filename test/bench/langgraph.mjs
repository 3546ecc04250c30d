import { readFileSync } from "node:fs";
import { FakeListChatModel } from "@langchain/core/utils/testing";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "../../dist/index.js";
import { splice } from "../../dist/langgraph/splice.js";
import { summarise } from "./summarise.mjs";

const NODES = 8;
/** Invocations in one sample, samples that count, and samples before them. */
const RUNS = 4;
const ROUNDS = 150;
const WARM_UP = 50;

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
    const node = async (state, config) => ({
      messages: [await model.invoke(state.messages.slice(0, 2), config)],
    });
    builder = builder.addNode(`node${i}`, wrap(node));
  }
  builder.addEdge("__start__", "node0");
  for (let i = 1; i < NODES; i++) builder.addEdge(`node${i - 1}`, `node${i}`);
  return builder.addEdge(`node${NODES - 1}`, "__end__").compile();
}

/** Microseconds a node hop, over a few runs in a row. */
async function hop(run) {
  const started = process.hrtime.bigint();
  for (let i = 0; i < RUNS; i++) await run();
  return Number(process.hrtime.bigint() - started) / 1000 / RUNS / NODES;
}

/**
 * Runs the variants in turn, the order going round. `cost` and `noise` summarise differences to the plain graph run
 * just before or after: what slows the machine down for a while slows both. `noise` is that of a second plain graph,
 * and says how far `cost` can be trusted.
 */
async function race({ plain, control, cachesage }) {
  const variants = Object.entries({ plain, control, cachesage });
  const times = { plain: [], noise: [], cost: [] };
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const taken = {};
    for (let i = 0; i < variants.length; i++) {
      const [name, run] = variants[(((round + i) % variants.length) + variants.length) % variants.length];
      taken[name] = await hop(run);
    }
    if (round < 0) continue;
    times.plain.push(taken.plain);
    times.noise.push(taken.control - taken.plain);
    times.cost.push(taken.cachesage - taken.plain);
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summarise(values)]));
}

const input = { messages: [{ role: "user", content: "hello" }] };

/** A node hop with the context set by wrapNode and no handler anywhere, against a plain graph. */
export async function context() {
  const sage = await CacheSage.connect({ engine: silentEngine() });
  const plain = graphOf();
  const wrapped = graphOf((node) => sage.wrapNode(node));
  const control = graphOf();
  return race({
    plain: () => plain.invoke(input),
    control: () => control.invoke(input),
    cachesage: () => wrapped.invoke(input),
  });
}

/** Full observation with hints on, against LangChain's callback manager with one awaited handler that does nothing. */
export async function observation() {
  const sage = await CacheSage.connect({ engine: silentEngine(), cacheHints: true });
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
  const plain = graphOf();
  const control = graphOf();
  const observed = sage.instrument(graphOf());
  return race({
    plain: () => plain.invoke(input, { callbacks: [noop] }),
    control: () => control.invoke(input, { callbacks: [noop] }),
    cachesage: () => observed.invoke(input),
  });
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
