import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { median } from "simple-statistics";
import { LearnedPredictor } from "../../dist/learn/predictor.js";
import prefixCache from "../../dist/policies/prefix-cache.js";
import { AgentRuntime } from "../../dist/runtime/agent-runtime.js";
import { Ledger } from "../../dist/runtime/ledger.js";
import { LivePrefixes } from "../../dist/runtime/live-prefixes.js";
import { summariseChunks } from "./summarise.mjs";
import { events } from "./workload.mjs";

const WARM_UP = 100_000;
/** Events are made ahead of their measurement, but few at once: an app's are in the processor's cache when they come. */
const CHUNK = 5000;
const CHUNKS = 40;

function warm(observe, options) {
  const next = events(options);
  for (let i = 0; i < WARM_UP; i++) observe(next());
  return next;
}

/** Cost of observing one event, in microseconds of processor time, collections of garbage included: median over chunks of the mean. */
export function observing(options) {
  const predictor = new LearnedPredictor();
  const next = warm((event) => predictor.observe(event), options);
  const times = Array.from({ length: CHUNKS }, () => {
    const chunk = Array.from({ length: CHUNK }, next);
    const started = process.cpuUsage();
    for (const event of chunk) predictor.observe(event);
    const { user, system } = process.cpuUsage(started);
    return (user + system) / CHUNK;
  });
  return { mean: median(times) };
}

/** Cost of "who is next, and what is each live prefix of this run worth" after an event. */
export function predicting(options) {
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes(predictor);
  const observe = (event) => {
    predictor.observe(event);
    prefixes.observe(event);
    if (event.type === "run-end") prefixes.end(event.run);
  };
  const next = warm(observe, options);
  const times = [];
  let candidates = 0;
  while (times.length < CHUNK * CHUNKS) {
    const event = next();
    observe(event);
    if (event.type !== "request-start") continue;
    const own = prefixes.of(event.run);
    candidates += own.length;
    const started = performance.now();
    predictor.next(event.run);
    for (const prefix of own) predictor.reuse(prefix);
    times.push((performance.now() - started) * 1000);
  }
  return { ...summariseChunks(times), candidates: candidates / times.length };
}

/** Cost of a whole decision: observe, predict, score, act, arbitrate, ledger. */
export function deciding(options) {
  const { runtime, times } = layer();
  const next = warm((event) => runtime.observe(event), options);
  times.length = 0;
  let actions = 0;
  for (let i = 0; i < CHUNK * CHUNKS; i++) actions += runtime.observe(next()).length;
  return { ...summariseChunks(times), actions: actions / times.length };
}

/** Learned state as JSON, in bytes: what answers, tools and histories tell is in it. */
export function remembering(options) {
  const predictor = new LearnedPredictor();
  warm((event) => predictor.observe(event), { ...options, isWhole: true });
  return { bytes: Buffer.byteLength(JSON.stringify(predictor.snapshot())) };
}

/**
 * Bytes of memory for each live prefix, with 2,000 open runs of 16 agents each: the learner's own, and all in all with the
 * list of prefixes and what the policy remembers. Lists of messages count, the messages themselves are the app's.
 */
export function holding() {
  const predictor = new LearnedPredictor();
  const { runtime } = layer();
  return {
    learner: held(
      (event) => predictor.observe(event),
      (run) => predictor.next(run),
    ),
    all: held((event) => runtime.observe(event)),
  };
}

function held(observe, ask) {
  const names = Array.from({ length: 24 }, (_, i) => `agent-${i}`);
  const anchors = names.map((hash) => ({ hash, length: 4000 }));
  const messages = Array.from({ length: 16 }, (_, i) => ({ hash: `m${i}`, length: 400 }));
  const play = (run) => {
    for (let call = 0; call < 16; call++) {
      const place = (call + run) % 24;
      const [agent, id] = [names[place], `run-${run}`];
      const prompt = { anchor: anchors[place], history: messages.slice(0, call + 1) };
      const request = `r${run}-${call}`;
      observe({
        type: "request-start",
        at: run,
        run: id,
        agent,
        namespace: agent,
        step: call,
        request,
        prompt,
      });
      ask?.(id);
    }
  };
  for (let run = 0; run < 500; run++) {
    play(run);
    observe({ type: "run-end", at: run, run: `run-${run}`, status: "completed" });
  }
  const before = heapUsed();
  for (let run = 1000; run < 3000; run++) play(run);
  return (heapUsed() - before) / (2000 * 16);
}

function heapUsed() {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

function layer() {
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes(predictor);
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
  return { runtime, prefixes, times };
}
