import { median } from "simple-statistics";
import { Observed } from "../../dist/dashboard/observed.js";
import { shown } from "../../dist/dashboard/views/shown.js";
import { LearnedPredictor } from "../../dist/learn/predictor.js";
import prefixCache from "../../dist/policies/prefix-cache.js";
import { AgentRuntime } from "../../dist/runtime/agent-runtime.js";
import { Ledger } from "../../dist/runtime/ledger.js";
import { LivePrefixes } from "../../dist/runtime/live-prefixes.js";
import { events } from "./workload.mjs";

const WARM_UP = 100_000;
const CHUNK = 2000;
const CHUNKS = 40;
const PAGES = 9;
const VIEWS = ["overview", "agents", "cache", "decisions", "runs", "policies", "engines"];

function onFault(where, error) {
  throw new Error(where, { cause: error });
}

/**
 * What an open dashboard takes of the app's process, shadow caches included: microseconds of processor time per event, the
 * median over chunks of the mean, and milliseconds to make the slowest of its views once.
 */
export function watching(options) {
  let now = 0;
  const clock = { now: () => now };
  const predictor = new LearnedPredictor();
  const prefixes = new LivePrefixes(predictor);
  const policyOptions = prefixCache.options.parse({});
  const policy = prefixCache.create({ options: policyOptions, clock, predictor, prefixes });
  const ledger = new Ledger();
  const policies = [{ definition: prefixCache, policy }];
  const runtime = new AgentRuntime({ clock, predictor, prefixes, policies, ledger, onFault });
  const { name, description } = prefixCache;
  const watchers = [];
  const observed = new Observed(
    {
      kind: "app",
      name: "",
      clock,
      engine: { engine: "bench", models: [], blockTokens: 16 },
      adapter: { supports: {}, baseURL: "http://127.0.0.1/v1" },
      cacheHints: true,
      ledger,
      predictor,
      prefixes,
      policies: [{ name, description, options: policyOptions, policy, isLeftOut: () => false }],
      policiesOff: [],
      stats: () => ({
        nextAgent: predictor.accuracy,
        decisionUs: [1],
        hints: {},
        faults: 0,
        openRuns: prefixes.openRuns,
      }),
      watch: (watcher) => {
        watchers.push(watcher);
        return () => {};
      },
    },
    { kvTokens: 200_000, everyMs: 1e9 },
  );
  const next = events({ ...options, isWhole: true });
  const take = () => {
    const event = next();
    now = event.at;
    runtime.observe(event);
    return event;
  };
  const show = (event) => {
    for (const watcher of watchers) watcher.event(event);
  };
  for (let i = 0; i < WARM_UP; i++) show(take());
  const times = Array.from({ length: CHUNKS }, () => {
    const chunk = Array.from({ length: CHUNK }, take);
    const started = process.cpuUsage();
    for (const event of chunk) show(event);
    const { user, system } = process.cpuUsage(started);
    return (user + system) / CHUNK;
  });
  const pages = VIEWS.map((view) =>
    median(
      Array.from({ length: PAGES }, () => {
        const started = performance.now();
        JSON.stringify(shown(observed, { view }));
        return performance.now() - started;
      }),
    ),
  );
  observed.stop();
  return { event: median(times), page: Math.max(...pages) };
}
