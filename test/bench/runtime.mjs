import { LearnedPredictor } from "../../dist/learn/predictor.js";
import prefixCache from "../../dist/policies/prefix-cache.js";
import { AgentRuntime } from "../../dist/runtime/agent-runtime.js";
import { Ledger } from "../../dist/runtime/ledger.js";
import { LivePrefixes } from "../../dist/runtime/live-prefixes.js";
import { summarise } from "./summarise.mjs";

const AGENTS = 24;
const OPEN_RUNS = 1000;
const CALLS = 200_000;

/** 24 agents, 1,000 open runs, every call by an agent drawn from a skewed table; a run ends after 40 calls. */
function workload() {
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
  const agents = Array.from({ length: AGENTS }, (_, i) => `agent-${i}`);
  const runs = Array.from({ length: OPEN_RUNS }, (_, i) => ({
    id: `run-${i}`,
    agent: 0,
    calls: Math.floor(random() * 40),
  }));
  const history = [{ hash: "task", length: 400 }];
  let count = 0;
  return () => {
    const run = runs[Math.floor(random() * OPEN_RUNS)];
    count++;
    if (run.calls++ >= 40) {
      const ended = { type: "run-end", at: count, run: run.id, status: "completed" };
      run.calls = 0;
      run.id = `run-${OPEN_RUNS + count}`;
      return ended;
    }
    const draw = random();
    run.agent = draw < 0.7 ? (run.agent + 1) % AGENTS : Math.floor(random() * AGENTS);
    const agent = agents[run.agent];
    const prompt = { anchor: { hash: agent, length: 4000 }, history };
    return {
      type: "request-start",
      at: count,
      run: run.id,
      agent,
      namespace: agent,
      step: run.calls,
      request: `r${count}`,
      prompt,
    };
  };
}

function warm(observe) {
  const next = workload();
  for (let i = 0; i < 100_000; i++) observe(next());
  return next;
}

/** Cost of observing one event; the clock's own cost is measured and taken off. */
export function observing() {
  const predictor = new LearnedPredictor();
  const next = warm((event) => predictor.observe(event));
  const events = Array.from({ length: CALLS }, next);
  const started = performance.now();
  for (const event of events) predictor.observe(event);
  return { mean: ((performance.now() - started) * 1000) / CALLS };
}

/** Cost of "who is next, and what is each live prefix of this run worth" after an event. */
export function predicting() {
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes((characters) => predictor.tokens(characters));
  const observe = (event) => {
    predictor.observe(event);
    prefixes.observe(event);
    if (event.type === "run-end") prefixes.end(event.run);
  };
  const next = warm(observe);
  const times = [];
  for (let i = 0; i < CALLS; i++) {
    const event = next();
    observe(event);
    if (event.type !== "request-start") continue;
    const candidates = prefixes.of(event.run);
    const started = performance.now();
    predictor.next(event.run);
    for (const prefix of candidates) predictor.reuse(prefix);
    times.push((performance.now() - started) * 1000);
  }
  return summarise(times);
}

/** Cost of a whole decision: observe, predict, score, act, arbitrate, ledger. */
export function deciding() {
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes((characters) => predictor.tokens(characters));
  const clock = performance;
  const times = [];
  const runtime = new AgentRuntime({
    clock,
    predictor,
    prefixes,
    policies: [
      {
        definition: prefixCache,
        policy: prefixCache.create({ options: prefixCache.options.parse({}), clock, predictor, prefixes }),
      },
    ],
    ledger: new Ledger(),
    onFault: (where, error) => {
      throw new Error(where, { cause: error });
    },
    onDecision: (microseconds) => times.push(microseconds),
  });
  const next = warm((event) => runtime.observe(event));
  times.length = 0;
  for (let i = 0; i < CALLS; i++) runtime.observe(next());
  return summarise(times);
}

/** Learned state as JSON. */
export function remembering() {
  const predictor = new LearnedPredictor();
  warm((event) => predictor.observe(event));
  return { bytes: Buffer.byteLength(JSON.stringify(predictor.snapshot())) };
}
