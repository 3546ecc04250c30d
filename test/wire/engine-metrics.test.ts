import { expect, test } from "vitest";
import { startTrialServer } from "../../src/testing/index.ts";
import { EngineHttp } from "../../src/wire/engine-http.ts";
import { EngineMetrics } from "../../src/wire/engine-metrics.ts";
import { WarmUpTotals } from "../../src/wire/warm-up-totals.ts";
import { readMetrics } from "../../src/wire/prometheus.ts";

const names = {
  requests: ["engine:requests_total"],
  promptTokens: ["engine:computed_total", "engine:cached_total"],
  cachedTokens: ["engine:cached_total"],
  running: ["engine:running"],
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
    "# TYPE engine:running gauge",
    "engine:running 3",
    "# TYPE engine:prompt histogram",
    'engine:prompt_bucket{model="a",le="+Inf"} 4',
    'engine:prompt_sum{model="a"} 200.5',
    'engine:prompt_sum{model="b"} 50',
    'engine:prompt_count{model="a"} 4',
    "",
  ].join("\n");
}

test("counters are told since the connection, over all labels, and without warm-ups", async () => {
  const warmUps = new WarmUpTotals();
  warmUps.add(1000, 10);
  let page = pageOf(10, 5000, 700);
  const http = new EngineHttp({ engine: "vllm", url: "http://127.0.0.1:1" });
  http.text = () => Promise.resolve(page);
  const metrics = new EngineMetrics(http, names, warmUps);
  await metrics.begin(undefined);
  expect(metrics.isThere).toBe(true);
  warmUps.add(400, 100);
  page = pageOf(13, 5600, 950);
  expect(await metrics.status(undefined)).toEqual({
    running: 3,
    served: { requests: 2, promptTokens: 450, cachedTokens: 150 },
  });
});

test("a server without such a page, or with one of another kind, is one that does not tell", async () => {
  await using server = await startTrialServer("web page");
  for (const url of ["http://127.0.0.1:1", server.url]) {
    const http = new EngineHttp({ engine: "vllm", url });
    const metrics = new EngineMetrics(http, names, new WarmUpTotals());
    await metrics.begin(undefined);
    expect(metrics.isThere).toBe(false);
  }
});

test("of a histogram, sum and count are read", () => {
  expect(Object.fromEntries(readMetrics(pageOf(2, 1, 1)))).toMatchObject({
    "engine:prompt_sum": 250.5,
    "engine:prompt_count": 4,
  });
});
