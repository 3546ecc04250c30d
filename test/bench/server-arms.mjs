import { median } from "simple-statistics";
import { routed, routingArms, stalled } from "./servers.mjs";
import { burst, engines, isThere, queue } from "./shaping.mjs";
import { number } from "./summarise.mjs";

/** Several arms in turn, each with every seed, whose order changes; prints the median of each measure and its range. */
export async function compareArms(policy, arms, measure, names) {
  const order = Object.keys(arms);
  const rows = Object.fromEntries(order.map((arm) => [arm, []]));
  for (const seed of [1, 2, 3]) {
    for (const arm of [...order.slice(seed % order.length), ...order.slice(0, seed % order.length)])
      rows[arm].push(await measure(arms[arm](seed), seed));
  }
  for (const [key, name] of Object.entries(names)) {
    const shown = order.map((arm) => {
      const values = rows[arm].map((row) => row[key]);
      const range = `${number(Math.min(...values))} to ${number(Math.max(...values))}`;
      return `${arm} ${number(median(values))} (${range})`;
    });
    console.log(`${policy}: ${name}: ${shown.join(", ")}`);
  }
}

/** Two calls at once, as for an engine that serves no more well. */
const TWO = { admission: { initial: 2, min: 2, max: 2, reserved: 0 } };
const shaped = (others) => ({ off: () => others, on: () => ({ ...others, "batch-shaping": true }) });

/** On an engine of its own for each arm and seed. */
async function batchShaping() {
  const bursts = {
    embedded: engines.embedded({ kvTokens: 16384 }),
    "llama-server with 4 slots": engines["llama-server"]({ slots: 4 }),
    "llama-server with 16 slots": engines["llama-server"]({ slots: 16 }),
  };
  for (const [name, start] of Object.entries(bursts)) {
    if (!(await isThere(start))) continue;
    await compareArms(`batch-shaping, ${name}`, shaped({}), burst(start), {
      twice: "prompt tokens of a 16-run burst computed more than once",
      ttft: "mean TTFT, ms",
      p99: "p99 TTFT, ms",
    });
  }
  const queues = {
    "embedded with room for two anchors": engines.embedded({ kvTokens: 1536 }),
    "llama-server with 2 slots": engines["llama-server"]({ slots: 2 }),
  };
  for (const [name, start] of Object.entries(queues)) {
    if (!(await isThere(start))) continue;
    await compareArms(`batch-shaping, ${name}`, shaped(TWO), queue(start), {
      hitRate: "hit rate of 32 calls of 4 agents that wait for 2 places, %",
      ttft: "mean TTFT, ms",
      p99: "p99 TTFT, ms",
      ms: "until all are served, ms",
    });
  }
}

/** Several arms, three seeds. */
export const serverMeasures = {
  "batch-shaping": batchShaping,
  routing: () =>
    compareArms("routing", routingArms, routed, {
      hitRate: "hit rate on two engines",
      ttft: "mean TTFT, ms",
      peak: "prompt tokens of the busier engine, over the mean",
    }),
  hedging: () =>
    compareArms("hedging", { off: () => ({}), on: () => ({ hedging: true }) }, stalled, {
      p50: "one of three servers stalls a tenth of its calls: TTFT p50, ms",
      p99: "the same, p99 ms",
      extra: "calls made twice, as a share",
      won: "of these, how many the other server answered first",
    }),
};
