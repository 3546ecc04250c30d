import { mean, median, quantile } from "simple-statistics";
import { ask, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";
import { stalling, withServers } from "../live-servers.mjs";

/** Single calls, two at a time. */
const play = async ({ graphOf }) => {
  const graph = graphOf("You answer.");
  let next = 0;
  const worker = async () => {
    while (next < 400) {
      const id = next++;
      await ask(graph, words(30, `${id}-`), { thread_id: `${id}` });
    }
  };
  await Promise.all([worker(), worker()]);
};

/**
 * The same on three servers of which one stalls a tenth of its calls for two seconds: fewer than the budget
 * of repeats, by a little. With as many as the budget or more, chance decides how many of them are repeated.
 */
async function stalled(policies, seed) {
  const { calls, repeats } = await withServers(policies, { servers: 3, front: stalling(seed, 2000) }, play);
  // What is measured of an agent begins with its first calls.
  const ttft = calls.slice(50).map(({ at, first }) => first - at);
  return {
    p50: median(ttft),
    p99: quantile(ttft, 0.99),
    mean: mean(ttft),
    extra: repeats.made / calls.length,
    won: repeats.won,
  };
}

export default () =>
  compareArms("hedging", { off: () => ({}), on: () => ({ hedging: true }) }, stalled, {
    p50: "one of three servers stalls a tenth of its calls: TTFT p50, ms",
    p99: "the same, p99 ms",
    extra: "calls made twice, as a share",
    won: "of these, how many the other server answered first",
  });
