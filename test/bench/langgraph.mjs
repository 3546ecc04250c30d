import { FakeListChatModel } from "@langchain/core/utils/testing";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { CacheSage } from "../../dist/index.js";
import { splice } from "../../dist/langgraph/splice.js";
import { summarise } from "./summarise.mjs";

const NODES = 8;
const ROUNDS = 150;

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
    const node = async (state, config) => ({ messages: [await model.invoke(state.messages.slice(0, 2), config)] });
    builder = builder.addNode(`node${i}`, wrap(node));
  }
  builder.addEdge("__start__", "node0");
  for (let i = 1; i < NODES; i++) builder.addEdge(`node${i - 1}`, `node${i}`);
  return builder.addEdge(`node${NODES - 1}`, "__end__").compile();
}

/** Runs the variants in turn, the order alternating, and gives microseconds a node hop of each run. */
async function race(variants) {
  const names = Object.keys(variants);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -20; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const started = performance.now();
      await variants[name]();
      if (round >= 0) times[name].push(((performance.now() - started) * 1000) / NODES);
    }
  }
  return Object.fromEntries(names.map((name) => [name, summarise(times[name])]));
}

const input = { messages: [{ role: "user", content: "hello" }] };

/** A node hop with the context set by wrapNode and no handler anywhere, against a plain graph. */
export async function context() {
  const sage = await CacheSage.connect({ engine: silentEngine() });
  const plain = graphOf();
  const wrapped = graphOf((node) => sage.wrapNode(node));
  return race({ plain: () => plain.invoke(input), cachesage: () => wrapped.invoke(input) });
}

/** Full observation with hints on, against LangChain's callback manager with one awaited handler that does nothing. */
export async function observation() {
  const sage = await CacheSage.connect({ engine: silentEngine(), cacheHints: true });
  const names = [
    "handleChainStart", "handleChainEnd", "handleChainError", "handleChatModelStart", "handleLLMEnd",
    "handleLLMError", "handleToolStart", "handleToolEnd", "handleToolError", "handleLLMNewToken",
  ];
  const noop = { name: "noop", awaitHandlers: true, ...Object.fromEntries(names.map((name) => [name, () => {}])) };
  const plain = graphOf();
  const observed = sage.instrument(graphOf());
  return race({ plain: () => plain.invoke(input, { callbacks: [noop] }), cachesage: () => observed.invoke(input) });
}

/** Adding two fields to a Chat Completions body of 96 KB. */
export function splicing() {
  const messages = Array.from({ length: 48 }, (_, i) => ({ role: "user", content: `${i} ${"lorem \"ipsum\" ".repeat(130)}` }));
  const body = JSON.stringify({ model: "default", messages });
  const fields = { kv_hints: { protocol_version: "1", message_id: "x", actions: [{ action_id: "1", payload: { value: 0.5 } }] } };
  const times = [];
  for (let i = -500; i < 5000; i++) {
    // A string that was just built, as JSON.stringify gives it to fetch.
    const fresh = JSON.parse(JSON.stringify({ body })).body;
    const started = performance.now();
    const spliced = splice(fresh, fields);
    if (i >= 0) times.push((performance.now() - started) * 1000);
    if (spliced === undefined) throw new Error("nothing was spliced");
  }
  return { kilobytes: body.length / 1024, ...summarise(times) };
}
