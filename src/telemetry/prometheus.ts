import { Counter, Gauge, Histogram, type Metric, type Registry } from "prom-client";
import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { fetchId, prefixId } from "../runtime/action.ts";
import type { Event, RequestEndEvent } from "../runtime/event.ts";
import type { Telemetry, TelemetryObserver, TelemetrySource, TelemetryStats } from "../runtime/telemetry.ts";
import { ShadowTokens } from "../shadow/shadow-tokens.ts";

const options = z.strictObject({
  registry: z
    .custom<Registry>(
      (value) => typeof (value as Registry | null)?.registerMetric === "function",
      "expected a Registry of prom-client",
    )
    .describe("Where the metrics are registered; `registry.metrics()` serves them."),
  prefix: z
    .string()
    .regex(/^[a-zA-Z_]\w*$/)
    .default("cachesage_")
    .describe("How the name of every metric begins."),
  agents: z.int().min(0).default(30).describe("Agents told apart by label; those seen later are `other`."),
  ttftBuckets: z
    .array(z.number().positive())
    .default([0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
    .describe("Upper ends of the buckets of the time to first token, in seconds."),
  kvTokens: z
    .int()
    .positive()
    .optional()
    .describe(
      "KV budget of the engine in tokens; with it two shadow caches get the same requests, to compare.",
    ),
});

/** Decisions take microseconds. */
const DECISION_BUCKETS = [10, 25, 50, 100, 250, 500, 1000, 5000].map((microseconds) => microseconds / 1e6);
/** Requests and prefetches under way that are remembered; beyond, the oldest are not measured. */
const MOST_OPEN = 10_000;

/**
 * Metrics for Prometheus in the user's own registry. Labels are bounded: engine, policy, verb, status, and agents up to a limit;
 * never a run or a session.
 *
 * @throws InvalidOptionsError, also where the registry has such metrics already.
 */
export function prometheus(given: z.input<typeof options>): Telemetry {
  const settings = parseOptions("telemetry prometheus", options, given);
  const sources = new Map<TelemetrySource, Health>();
  const metrics = metricsIn(settings, sources);
  const known = new Set<string>();
  const agentLabel = (agent: string) => {
    if (known.has(agent) || known.size < settings.agents) return known.add(agent) && agent;
    return "other";
  };
  return {
    name: "prometheus",
    attach: (source) => {
      const health = { isUp: true };
      sources.set(source, health);
      const shadow = settings.kvTokens === undefined ? undefined : new ShadowTokens(settings.kvTokens);
      return observe(source, { metrics, agentLabel, shadow, health }, () => {
        metrics.take(source);
        sources.delete(source);
      });
    },
  };
}

/** Whether a connection's engine carried out the latest hint. */
interface Health {
  isUp: boolean;
}

type Metrics = ReturnType<typeof metricsIn>;

function metricsIn(
  { registry, prefix, ttftBuckets }: z.output<typeof options>,
  sources: ReadonlyMap<TelemetrySource, Health>,
) {
  const all: Metric[] = [];
  const made = <Made extends Metric>(metric: Made) => (all.push(metric), metric);
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    made(new Counter({ name: prefix + name, help, labelNames, registers: [] }));
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    buckets: number[],
  ) => made(new Histogram({ name: prefix + name, help, labelNames, buckets, registers: [] }));
  const takes: ((source: TelemetrySource) => void)[] = [];
  /** A counter of what connections count themselves, by result. */
  const kept = (name: string, help: string, read: (stats: TelemetryStats) => Record<string, number>) => {
    const last = new WeakMap<TelemetrySource, Record<string, number>>();
    const take = (source: TelemetrySource) => {
      const [before, now] = [last.get(source), read(source.stats())];
      last.set(source, now);
      for (const [result, count] of Object.entries(now))
        total.inc({ engine: source.engine, result }, Math.max(0, count - (before?.[result] ?? 0)));
    };
    const total = made(
      new Counter({
        name: prefix + name,
        help,
        labelNames: ["engine", "result"],
        registers: [],
        collect: () => [...sources.keys()].forEach(take),
      }),
    );
    takes.push(take);
  };
  kept("predictions_total", "Changes of agent, by whether the most probable one came", ({ nextAgent }) => ({
    hit: nextAgent.right,
    miss: nextAgent.asked - nextAgent.right,
  }));
  kept(
    "repeats_total",
    "Late model calls that were made a second time, by whether the second one answered first",
    ({ repeats }) => ({ won: repeats?.won ?? 0, lost: repeats?.lost ?? 0 }),
  );
  kept("store_exchanges_total", "Exchanges of learned counts with the store", ({ store }) => ({
    sent: store?.batches ?? 0,
    failed: store?.failures ?? 0,
  }));
  kept(
    "warm_up_requests_total",
    "Requests of cachesage's own, part of what the engine counts",
    ({ warmUps }) => ({
      sent: warmUps?.requests ?? 0,
    }),
  );
  kept(
    "warm_up_prompt_tokens_total",
    "Prompt tokens of cachesage's own requests, part of what the engine counts",
    ({ warmUps }) => ({
      cached: warmUps?.cachedTokens ?? 0,
      computed: (warmUps?.promptTokens ?? 0) - (warmUps?.cachedTokens ?? 0),
    }),
  );
  /** Of several connections of one engine: their sum. */
  const current = (name: string, help: string, read: (source: TelemetrySource) => number) =>
    made(
      new Gauge({
        name: prefix + name,
        help,
        labelNames: ["engine"],
        registers: [],
        collect() {
          this.reset();
          for (const source of sources.keys()) this.inc({ engine: source.engine }, read(source));
        },
      }),
    );
  current("open_runs", "Runs that have begun and not ended", (source) => source.stats().openRuns);
  current(
    "store_waiting_counts",
    "Learned counts that wait to be sent to the store",
    (source) => source.stats().store?.waiting ?? 0,
  );
  made(
    new Gauge({
      name: `${prefix}engine_up`,
      help: "1 while the engine answers to hints, 0 while it does not",
      labelNames: ["engine"],
      registers: [],
      collect() {
        this.reset();
        const down = new Set<string>();
        for (const [{ engine }, { isUp }] of sources) {
          if (!isUp) down.add(engine);
          this.set({ engine }, down.has(engine) ? 0 : 1);
        }
      },
    }),
  );
  const metrics = {
    requests: counter("requests_total", "Model calls that ended", ["engine", "agent", "status"]),
    prompt: counter("prompt_tokens_total", "Prompt tokens as the engine reports them", ["engine", "agent"]),
    cached: counter("cached_tokens_total", "Prompt tokens that the engine had in cache", ["engine", "agent"]),
    shadowed: counter(
      "shadow_cached_tokens_total",
      "Prompt tokens that a cache of kvTokens would have had: by LRU, and by LRU that lets go of ended runs first",
      ["engine", "shadow"],
    ),
    ttft: histogram(
      "ttft_seconds",
      "Time from sending a request to its first token",
      ["engine"],
      ttftBuckets,
    ),
    actions: counter("actions_total", "Hints by what became of them", ["engine", "policy", "verb", "status"]),
    prefetched: counter(
      "prefetch_tokens_total",
      "Prompt tokens prefetched, by whether a request found them",
      ["engine", "result"],
    ),
    decision: histogram(
      "decision_seconds",
      "Time to decide what to do about what happened to a run",
      ["engine"],
      DECISION_BUCKETS,
    ),
    faults: counter("faults_total", "Faults that were contained", ["engine"]),
    policyFaults: counter("policy_faults_total", "Faults of policies that were contained", [
      "engine",
      "policy",
    ]),
    gaps: counter("event_gaps_total", "Gaps in what the engine tells of its cache", ["engine", "reason"]),
    /** Counts what a connection has counted since it was looked at last. */
    take: (source: TelemetrySource) => takes.forEach((take) => take(source)),
  };
  register(all, registry, prefix);
  return metrics;
}

/** All of them or none, so that a registry in which one name is taken stays as it was. */
function register(metrics: readonly Metric[], registry: Registry, prefix: string): void {
  const names = metrics.map((metric) => (metric as unknown as { readonly name: string }).name);
  const taken = names.find((name) => registry.getSingleMetric(name));
  if (taken !== undefined)
    throw new InvalidOptionsError("telemetry prometheus", `the registry has a metric ${taken} already`, {
      hint: `Pass one prometheus() to all connections, or give this one another prefix than ${prefix}`,
    });
  for (const metric of metrics) registry.registerMetric(metric);
}

function observe(
  { engine }: TelemetrySource,
  parts: {
    readonly metrics: Metrics;
    readonly agentLabel: (agent: string) => string;
    readonly shadow: ShadowTokens | undefined;
    readonly health: Health;
  },
  onClose: () => void,
): TelemetryObserver {
  const { metrics, agentLabel, shadow, health } = parts;
  const begun = new Map<string, number>();
  /** Tokens by prefix, prefetched and not yet asked for. */
  const ahead = new Map<string, number>();
  const wasted = (id: string) => {
    const tokens = ahead.get(id);
    ahead.delete(id);
    if (tokens !== undefined) metrics.prefetched.inc({ engine, result: "wasted" }, tokens);
  };
  const ended = ({ agent, run, usage, status, request }: RequestEndEvent) => {
    begun.delete(request);
    const label = agentLabel(agent);
    metrics.requests.inc({ engine, agent: label, status });
    if (usage?.promptTokens !== undefined) metrics.prompt.inc({ engine, agent: label }, usage.promptTokens);
    if (usage?.cachedTokens === undefined) return;
    metrics.cached.inc({ engine, agent: label }, usage.cachedTokens);
    const id = fetchId({ agent, run });
    const fetched = ahead.get(id);
    if (fetched === undefined) return;
    const used = Math.min(fetched, usage.cachedTokens);
    metrics.prefetched.inc({ engine, result: "used" }, used);
    ahead.set(id, fetched - used);
    wasted(id);
  };
  const event = (seen: Event) => {
    const found = shadow?.observe(seen);
    if (found) {
      metrics.shadowed.inc({ engine, shadow: "lru" }, found.lru);
      metrics.shadowed.inc({ engine, shadow: "release" }, found.release);
    }
    if (seen.type === "request-start") remember(begun, seen.request, seen.at);
    else if (seen.type === "request-first-token") {
      const at = begun.get(seen.request);
      if (at !== undefined) metrics.ttft.observe({ engine }, (seen.at - at) / 1000);
    } else if (seen.type === "request-end") ended(seen);
    else if (seen.type === "run-end") {
      const mine = prefixId({ run: seen.run, agent: "" });
      for (const id of ahead.keys()) if (id.startsWith(mine)) wasted(id);
    }
  };
  return {
    event,
    decision: ({ policy, action, outcome }) => {
      if (outcome) metrics.actions.inc({ engine, policy, verb: action.type, status: outcome.status });
    },
    outcome: (hint, { status, tokens = 0 }, policy = "unknown") => {
      metrics.actions.inc({ engine, policy, verb: hint.type, status });
      if (status === "applied" || status === "failed") health.isUp = status === "applied";
      const id = fetchId(hint.prefix);
      if (hint.type === "cancel") wasted(id);
      else if (hint.type === "prefetch" && status === "applied" && tokens > 0)
        remember(ahead, id, (ahead.get(id) ?? 0) + tokens);
    },
    decided: (microseconds) => metrics.decision.observe({ engine }, microseconds / 1e6),
    fault: (where) => {
      metrics.faults.inc({ engine });
      const policy = /^policy (.+)\.\w+$/.exec(where)?.[1];
      if (policy !== undefined) metrics.policyFaults.inc({ engine, policy });
    },
    cacheEvent: (seen) => {
      if (seen.type === "gap") metrics.gaps.inc({ engine, reason: seen.reason });
    },
    close: onClose,
  };
}

function remember(map: Map<string, number>, key: string, value: number): void {
  const oldest = map.keys().next().value;
  if (map.size >= MOST_OPEN && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}
