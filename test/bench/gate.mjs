import { LearnedPredictor } from "../../dist/learn/predictor.js";
import { policies } from "../../dist/policy-set.js";
import { AgentRuntime } from "../../dist/runtime/agent-runtime.js";
import { Gate } from "../../dist/runtime/gate.js";
import { PolicyFaults } from "../../dist/runtime/installed-policy.js";
import { Ledger } from "../../dist/runtime/ledger.js";
import { LivePrefixes } from "../../dist/runtime/live-prefixes.js";
import { summariseChunks } from "./summarise.mjs";
import { events } from "./workload.mjs";

const OPEN_RUNS = 100;
const EVENTS = 20_000;
const WARM_UP = 10_000;
/** Model calls under way at once: those before them have ended. */
const UNDER_WAY = 6;
const WORKERS = ["one", "two", "three"].map((name, i) => ({
  baseURL: `http://${name}/v1`,
  isUp: true,
  underWay: i,
}));

function onFault(where, error) {
  throw new Error(where, { cause: error });
}

/**
 * What all policies at once cost a model call: its start, its verdict, its first token and its end.
 * `gate` is the part of the gate alone.
 */
export async function decidingAll() {
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes(predictor);
  const clock = performance;
  const definitions = await Promise.all((await policies.names()).map((name) => policies.load(name)));
  const installed = definitions.map((definition) => ({
    definition,
    policy: definition.create({ options: definition.options.parse({}), clock, predictor, prefixes }),
  }));
  const faults = new PolicyFaults(onFault);
  const ledger = new Ledger();
  const runtime = new AgentRuntime({
    clock,
    predictor,
    prefixes,
    policies: installed,
    faults,
    ledger,
    onFault,
  });
  const gate = new Gate({
    clock,
    policies: installed,
    faults,
    ledger,
    budgetMs: 10_000,
    workers: () => WORKERS,
  });

  let gateUs = 0;
  const observe = (event) => {
    runtime.observe(event);
    const started = performance.now();
    gate.observe(event);
    gateUs += (performance.now() - started) * 1000;
  };
  const arrive = ({ request: id, agent, run, prompt }) => {
    const started = performance.now();
    const { hash: anchor } = prompt.anchor;
    gate.arrive({ kind: "request", id, agent, run, at: started, anchor, anchorTokens: 1000, tokens: 1100 });
    gateUs += (performance.now() - started) * 1000;
  };
  const next = events({ openRuns: OPEN_RUNS });
  const open = [];
  const times = { all: [], gate: [] };
  for (let i = -WARM_UP; i < EVENTS; i++) {
    const event = next();
    const ending = event.type === "request-start" && open.length >= UNDER_WAY ? open.shift() : undefined;
    gateUs = 0;
    const started = performance.now();
    if (ending) {
      const { agent, run, namespace, request } = ending;
      const place = { agent, run, namespace, request, at: performance.now() };
      observe({ ...place, type: "request-first-token" });
      const usage = { promptTokens: 1100, outputTokens: 100, cachedTokens: 1000 };
      observe({ ...place, type: "request-end", status: "completed", usage });
    }
    observe({ ...event, at: performance.now() });
    if (event.type === "request-start") {
      arrive(event);
      open.push(event);
    }
    if (i < 0 || !ending) continue;
    times.all.push((performance.now() - started) * 1000);
    times.gate.push(gateUs);
  }
  return { all: summariseChunks(times.all), gate: summariseChunks(times.gate) };
}
