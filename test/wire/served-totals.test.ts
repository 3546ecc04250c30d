import { expect, test } from "vitest";
import { createEngine } from "../../src/engine-registry.ts";
import { startTrialServer } from "../../src/testing/index.ts";
import { readMetrics } from "../../src/wire/prometheus.ts";
import { ServedTotals } from "../../src/wire/served-totals.ts";
import { WarmUpTotals } from "../../src/wire/warm-up-totals.ts";

const names = {
  requests: ["engine:requests_total"],
  promptTokens: ["engine:computed_total", "engine:cached_total"],
  cachedTokens: ["engine:cached_total"],
};

function pageOf(requests: number, computed: number, cached: number): string {
  return [
    "# TYPE engine:requests_total counter",
    `engine:requests_total{reason="stop"} ${requests - 1}`,
    'engine:requests_total{reason="length"} 1',
    "# TYPE engine:computed_total counter",
    `engine:computed_total ${computed}`,
    "# TYPE engine:cached_total counter",
    `engine:cached_total ${cached}`,
    "# TYPE engine:prompt histogram",
    'engine:prompt_bucket{model="a",le="+Inf"} 4',
    'engine:prompt_sum{model="a"} 200.5',
    'engine:prompt_sum{model="b"} 50',
    'engine:prompt_count{model="a"} 4',
    "",
  ].join("\n");
}

test("counters are told since the connection, over all labels, and without warm-ups", () => {
  const warmUps = new WarmUpTotals();
  warmUps.add(1000, 10);
  const totals = new ServedTotals(names, warmUps);
  expect(totals.since(readMetrics(pageOf(9, 1, 1)))).toBe(undefined);
  totals.begin(readMetrics(pageOf(10, 5000, 700)));
  warmUps.add(400, 100);
  const now = readMetrics(pageOf(13, 5600, 950));
  expect(totals.since(now)).toEqual({ requests: 2, promptTokens: 450, cachedTokens: 150 });
});

test("a counter that begins after the connection began at 0, and one that is not there is not told", () => {
  const totals = new ServedTotals(names, new WarmUpTotals());
  totals.begin(new Map());
  expect(totals.since(new Map([["engine:cached_total", 7]]))).toEqual({ promptTokens: 7, cachedTokens: 7 });
});

test("an engine that began anew goes on from what was told before, as does a second connection", () => {
  const warmUps = new WarmUpTotals();
  const totals = new ServedTotals(names, warmUps);
  totals.begin(readMetrics(pageOf(10, 5000, 700)));
  expect(totals.since(readMetrics(pageOf(12, 5300, 800)))).toMatchObject({ requests: 2, promptTokens: 400 });
  totals.begin(readMetrics(pageOf(12, 5300, 800)));
  warmUps.add(30, 0);
  // A page that comes before there is anything on it.
  expect(totals.since(new Map())).toEqual({});
  const anew = readMetrics(pageOf(4, 90, 40));
  for (const page of [anew, anew])
    expect(totals.since(page)).toEqual({ requests: 2 + 3, promptTokens: 400 + 100, cachedTokens: 100 + 40 });
});

test("an engine without such a page connects as well, and tells of its warm-ups", async () => {
  await using server = await startTrialServer((request) =>
    request.path === "/v1/models" ? { data: [{ id: "tiny", owned_by: "vllm" }] } : undefined,
  );
  const adapter = await createEngine("vllm", [server.url], {});
  await adapter.connect();
  expect(await adapter.status?.()).toEqual({});
  expect(adapter.warmUps).toEqual({ requests: 0, promptTokens: 0, cachedTokens: 0 });
  await adapter.close();
});

test("of a histogram, sum and count are read", () => {
  expect(Object.fromEntries(readMetrics(pageOf(2, 1, 1)))).toMatchObject({
    "engine:prompt_sum": 250.5,
    "engine:prompt_count": 4,
  });
});
