import { mean, median, quantile } from "simple-statistics";
import { ask, embedded, pause, withApp, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";
import { number } from "../summarise.mjs";
import { randomNumbers } from "../workload.mjs";

/** Calls at about twice what the engine serves. */
const OVERLOAD = 80;
/** Hints reach the engine, which serves in order, or by priority. */
const fcfs = { cacheHints: true, engine: { schedulingPolicy: "fcfs" } };
const byPriority = { cacheHints: true, engine: { schedulingPolicy: "priority" } };
const isUrgent = (i) => i % 8 === 4;

/** Calls of which one in eight is of high priority; `isAlone`: those alone, at the same times. */
async function overload({ policies = {}, isAlone = false, engine, cacheHints = false }, everyMs, seed = 0) {
  const play = async ({ graphOf }) => {
    const graph = graphOf("You answer.");
    await ask(graph, "hello");
    const random = randomNumbers(seed);
    const runs = [];
    const started = performance.now();
    for (let i = 0, at = 0; i < OVERLOAD; i++, at += everyMs * 2 * random()) {
      await pause(Math.max(0, at - (performance.now() - started)));
      const priority = isUrgent(i) ? 1 : 0.2;
      if (!isAlone || isUrgent(i))
        runs.push(ask(graph, words(60, `o${seed}-${i}-`), { priority, thread_id: `${priority} ${i}` }));
    }
    await Promise.all(runs);
  };
  const { calls: all } = await withApp(embedded(engine), policies, play, { cacheHints });
  const calls = all.slice(1);
  const of = (priority) =>
    calls
      .filter(({ session }) => session?.startsWith(`${priority} `))
      .slice(2)
      .map(({ at, first }) => first - at);
  const high = of("1");
  const low = of("0.2");
  const start = Math.min(...calls.map(({ at }) => at));
  const end = Math.max(...calls.map((one) => one.end));
  return {
    p50: median(high),
    p90: quantile(high, 0.9),
    p99: quantile(high, 0.99),
    low: low.length === 0 ? 0 : mean(low),
    lowP99: low.length === 0 ? 0 : quantile(low, 0.99),
    perSecond: (calls.length * 1000) / (end - start),
  };
}

/** High priority at twice the capacity. */
export default async function admission() {
  const { perSecond: capacity } = await overload({}, 0);
  console.log(`admission: the engine serves ${number(capacity)} calls a second`);
  await compareArms(
    "admission",
    {
      alone: () => ({ isAlone: true }),
      off: () => ({}),
      "on, engine first come first served": () => ({ ...fcfs, policies: { admission: {} } }),
      "on, engine by priority": () => ({ ...byPriority, policies: { admission: {} } }),
      "off, engine by priority": () => byPriority,
    },
    (arm, seed) => overload(arm, 500 / capacity, seed),
    {
      p50: "TTFT of high priority at twice the capacity, p50 ms",
      p90: "the same, p90 ms",
      p99: "the same, p99 ms",
      low: "TTFT of low priority, mean ms",
      lowP99: "the same, p99 ms",
      perSecond: "calls a second",
    },
  );
}
