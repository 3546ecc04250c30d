import { readFileSync } from "node:fs";
import { Counter, Registry } from "prom-client";
import { expect, test } from "vitest";
import { InvalidOptionsError, type TelemetryObserver } from "../../src/index.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import { gap, playWith } from "./scripted-sage.ts";

interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, unknown>>;
  readonly metricName?: string;
}

async function samples(registry: Registry, name: string): Promise<readonly Sample[]> {
  return ((await registry.getSingleMetric(name)?.get())?.values ?? []) as readonly Sample[];
}

const source = (engine: string) => ({
  engine,
  clock: performance,
  cacheHints: true,
  stats: () => ({ openRuns: 2, nextAgent: { asked: 5, right: 3 } }),
});
const identity = (agent: string) => ({ run: "r", agent, namespace: agent, request: `request of ${agent}` });
const call = (observer: TelemetryObserver, agent: string, cachedTokens: number) => {
  const prompt = { anchor: { hash: "a", length: 1 }, history: [] };
  observer.event?.({ type: "request-start", at: 0, ...identity(agent), prompt });
  observer.event?.({ type: "request-first-token", at: 30, ...identity(agent) });
  const usage = { promptTokens: 100, cachedTokens };
  observer.event?.({ type: "request-end", at: 60, ...identity(agent), status: "completed", usage });
};

test("a real app's metrics are in the user's registry, with bounded labels only", async () => {
  const registry = new Registry();
  const telemetry = prometheus({ registry });
  const stats = await playWith([telemetry], 3, { events: gap });
  const found = new Map(
    await Promise.all(
      ["requests", "cached_tokens", "actions", "event_gaps", "faults"].map(
        async (name) => [name, await samples(registry, `cachesage_${name}_total`)] as const,
      ),
    ),
  );
  expect(found.get("requests")).toEqual([
    { value: 3, labels: { engine: "scripted", agent: "planner", status: "completed" } },
    { value: 3, labels: { engine: "scripted", agent: "writer", status: "completed" } },
  ]);
  expect(found.get("cached_tokens")?.map(({ value }) => value)).toEqual([18, 18]);
  expect(found.get("event_gaps")).toEqual([{ value: 1, labels: { engine: "scripted", reason: "lost" } }]);
  expect(found.get("faults")).toEqual([]);
  const applied = Object.fromEntries(
    (found.get("actions") ?? []).map(({ value, labels }) => [`${labels["verb"]} ${labels["status"]}`, value]),
  );
  expect(applied).toMatchObject(stats.hints);
  const labels = new Set(
    (await registry.getMetricsAsJSON()).flatMap(({ values }) =>
      values.flatMap((one) => Object.keys(one.labels)),
    ),
  );
  const allowed = ["engine", "agent", "status", "policy", "verb", "result", "reason", "le", "shadow"];
  expect([...labels].filter((label) => !allowed.includes(label))).toEqual([]);
  expect(await registry.metrics()).toContain("# TYPE cachesage_ttft_seconds histogram");
});

test("agents beyond the limit are one label, and those known keep theirs", async () => {
  const registry = new Registry();
  const observer = prometheus({ registry, agents: 2 }).attach(source("e"));
  for (const agent of ["a", "b", "c", "d", "a"]) call(observer, agent, 0);
  expect(
    (await samples(registry, "cachesage_prompt_tokens_total")).map(({ labels, value }) => [
      labels["agent"],
      value,
    ]),
  ).toEqual([
    ["a", 200],
    ["b", 100],
    ["other", 200],
  ]);
});

test("prefetched tokens are used as far as the request found them cached, and wasted else", async () => {
  const registry = new Registry();
  const observer = prometheus({ registry }).attach(source("e"));
  const fetched = (agent: string, tokens: number) => {
    const prefix = { agent, run: "r" };
    observer.outcome?.(
      { type: "prefetch", prefix, value: 0.5, probability: 0.5, tokens },
      { status: "applied", tokens },
      "prefix-cache",
    );
  };
  fetched("a", 80);
  call(observer, "a", 50);
  fetched("b", 7);
  observer.outcome?.(
    { type: "cancel", prefix: { agent: "b", run: "r" } },
    { status: "applied" },
    "prefix-cache",
  );
  fetched("c", 5);
  observer.event?.({ type: "run-end", at: 99, run: "r", status: "completed" });
  expect(await samples(registry, "cachesage_prefetch_tokens_total")).toEqual([
    { value: 50, labels: { engine: "e", result: "used" } },
    { value: 42, labels: { engine: "e", result: "wasted" } },
  ]);
});

test("shadow caches of the engine's size get the same requests, where the size is told", async () => {
  const registry = new Registry();
  const observer = prometheus({ registry, kvTokens: 150 }).attach(source("e"));
  const [start, end] = [
    (run: string) => observer.event?.({ type: "run-start", at: 0, run }),
    (run: string) => observer.event?.({ type: "run-end", at: 99, run, status: "completed" }),
  ];
  let requests = 0;
  // Prompts of 100 characters are 100 tokens: the cache has room for one and a half.
  const ask = (run: string, agent: string, message: string) => {
    const request = String(++requests);
    const prompt = { anchor: { hash: "shared", length: 20 }, history: [{ hash: message, length: 80 }] };
    observer.event?.({ type: "request-start", at: 0, run, agent, namespace: "", request, prompt });
    const usage = { promptTokens: 100, cachedTokens: 0 };
    const ended = { type: "request-end", at: 9, run, agent, namespace: "", request } as const;
    observer.event?.({ ...ended, status: "completed", usage });
  };
  const found = async () =>
    Object.fromEntries(
      (await samples(registry, "cachesage_shadow_cached_tokens_total")).map(({ labels, value }) => [
        labels["shadow"],
        Math.round(value),
      ]),
    );
  start("1");
  ask("1", "a", "one");
  ask("1", "a", "one");
  expect(await found()).toEqual({ lru: 100, release: 100 });
  start("2");
  ask("2", "b", "two");
  end("2");
  start("3");
  ask("3", "c", "three");
  // 20 characters are shared by all. For the third prompt LRU gave up the rest of the first, release that of the ended run.
  ask("1", "a", "one");
  expect(await found()).toEqual({ lru: 100 + 20 + 20 + 20, release: 100 + 20 + 20 + 20 + 50 });
});

test("no shadow is kept where the size of the cache is not told", async () => {
  const registry = new Registry();
  const observer = prometheus({ registry }).attach(source("e"));
  call(observer, "a", 0);
  expect(await samples(registry, "cachesage_shadow_cached_tokens_total")).toEqual([]);
});

test("one is attached to several connections; what they count themselves is read once, and let go when they close", async () => {
  const registry = new Registry();
  const telemetry = prometheus({ registry });
  const [one, two] = [telemetry.attach(source("x")), telemetry.attach(source("y"))];
  await registry.metrics();
  const hits = (await samples(registry, "cachesage_predictions_total")).filter(
    ({ labels }) => labels["result"] === "hit",
  );
  expect(hits.map(({ value }) => value)).toEqual([3, 3]);
  one.close?.();
  expect(await samples(registry, "cachesage_open_runs")).toEqual([{ value: 2, labels: { engine: "y" } }]);
  two.outcome?.({ type: "release", prefix: { agent: "a" } }, { status: "failed" }, undefined);
  expect(await samples(registry, "cachesage_engine_up")).toEqual([{ value: 0, labels: { engine: "y" } }]);
  two.fault?.("policy prefix-cache.act", new Error("no"));
  expect(await samples(registry, "cachesage_policy_faults_total")).toEqual([
    { value: 1, labels: { engine: "y", policy: "prefix-cache" } },
  ]);
});

test("of two connections of one engine the one that is left is still told of, and nothing that the other counted is lost", async () => {
  const registry = new Registry();
  const telemetry = prometheus({ registry });
  const [one, two] = [telemetry.attach(source("x")), telemetry.attach(source("x"))];
  const up = async () => (await samples(registry, "cachesage_engine_up")).map(({ value }) => value);
  const release = { type: "release", prefix: { agent: "a" } } as const;
  expect(await up()).toEqual([1]);
  one.outcome?.(release, { status: "failed" }, undefined);
  two.outcome?.(release, { status: "applied" }, undefined);
  expect(await up()).toEqual([0]);
  one.close?.();
  expect(await up()).toEqual([1]);
  two.close?.();
  expect(await up()).toEqual([]);
  const counted = (await samples(registry, "cachesage_predictions_total")).map(({ value }) => value);
  expect(counted).toEqual([6, 4]);
});

test("late calls that were repeated are counted by who answered first, once they have ended", async () => {
  const registry = new Registry();
  const repeats = { made: 3, won: 1, lost: 1 };
  prometheus({ registry }).attach({ ...source("e"), stats: () => ({ ...source("e").stats(), repeats }) });
  const found = async () =>
    (await samples(registry, "cachesage_repeats_total")).map(({ labels, value }) => [
      labels["engine"],
      labels["result"],
      value,
    ]);
  expect(await found()).toEqual([
    ["e", "won", 1],
    ["e", "lost", 1],
  ]);
  repeats.lost = 2;
  expect(await found()).toEqual([
    ["e", "won", 1],
    ["e", "lost", 2],
  ]);
});

test("says what is wrong with a registry that is none, or that has these metrics already", () => {
  const registry = new Registry();
  prometheus({ registry });
  expect(() => prometheus({ registry })).toThrow(InvalidOptionsError);
  expect(() => prometheus({ registry, prefix: "other_" })).not.toThrow();
  expect(() => prometheus({ registry: {} } as never)).toThrow(/expected a Registry of prom-client/);
});

test("a name that the user's own metrics have is told, and the registry stays as it was", () => {
  const registry = new Registry();
  const own = new Counter({ name: "llm_requests_total", help: "mine", registers: [registry] });
  expect(() => prometheus({ registry, prefix: "llm_" })).toThrow(
    expect.objectContaining({
      code: "INVALID_OPTIONS",
      message: expect.stringContaining("llm_requests_total"),
    }),
  );
  expect(registry.getMetricsAsArray()).toEqual([own]);
});

test("every metric of the Grafana dashboard exists, and every metric is on it", () => {
  const registry = new Registry();
  prometheus({ registry });
  const names = registry.getMetricsAsArray().map(({ name }) => name);
  const text = readFileSync(new URL("../../examples/grafana-dashboard.json", import.meta.url), "utf8");
  const used = new Set(
    [...text.matchAll(/cachesage_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, "")),
  );
  expect([...used].filter((name) => !names.includes(name))).toEqual([]);
  expect(names.filter((name) => !used.has(name))).toEqual([]);
});
