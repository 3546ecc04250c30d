import { median } from "simple-statistics";
import { routed, routingArms, stalled } from "./servers.mjs";
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

/** Of policies that choose among servers: several arms, three seeds. */
export const serverMeasures = {
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
