import { shuffled } from "../../../dist/sim/shuffled.js";
import { ask, drawFrom, embedded, withApp, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

/** Calls of three tenants of equal rights, which all come at once, in an order by chance. */
const CALLS = { greedy: 400, one: 40, two: 40 };
/** Calls of a tenant who has the engine to itself, and how many of them are under way at once. */
const LONE = 160;
const AT_ONCE = 8;

const prompt = (draw, salt) => words(20 + draw(40), salt);

/** What each tenant was served, in tokens, by the time at which one of them has nothing left to ask. */
async function greedy(policies, seed) {
  const draw = drawFrom(seed);
  const { calls } = await withApp(embedded(), policies, async ({ graphOf }) => {
    const graph = graphOf("You answer.");
    const tenants = Object.entries(CALLS).flatMap(([tenant, count]) => Array(count).fill(tenant));
    await Promise.all(
      shuffled(tenants, draw).map((tenant, i) =>
        ask(graph, prompt(draw, `${i}-`), { tenant, thread_id: `${tenant} ${i}` }),
      ),
    );
  });
  const started = Math.min(...calls.map(({ at }) => at));
  const own = (tenant) => calls.filter(({ session }) => session.startsWith(`${tenant} `));
  const ends = Object.keys(CALLS).map((tenant) => Math.max(...own(tenant).map(({ end }) => end)));
  const firstEnd = Math.min(...ends);
  const [much, ...equals] = Object.keys(CALLS).map((tenant) =>
    own(tenant)
      .filter(({ end }) => end <= firstEnd)
      .reduce((sum, { usage }) => sum + usage.promptTokens + usage.outputTokens, 0),
  );
  return {
    equals: Math.min(...equals) / Math.max(...equals) || 0,
    all: Math.min(...equals) / Math.max(much, ...equals),
    small: Math.max(...ends.slice(1)) - started,
    last: Math.max(...ends) - started,
  };
}

/** Nobody else asks for anything. */
async function lone(policies, seed) {
  const draw = drawFrom(seed);
  const { calls } = await withApp(embedded(), policies, async ({ graphOf }) => {
    const graph = graphOf("You answer.");
    let next = 0;
    const worker = async () => {
      while (next < LONE) {
        const id = next++;
        await ask(graph, prompt(draw, `${id}-`), { tenant: "lone", thread_id: `${id}` });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  });
  const ms = Math.max(...calls.map(({ end }) => end)) - Math.min(...calls.map(({ at }) => at));
  return { perSecond: (LONE * 1000) / ms };
}

export default async () => {
  const arms = { off: () => ({}), on: () => ({ fairness: true }) };
  await compareArms("fairness", arms, greedy, {
    equals: "one tenant asks for ten times as much: tokens of the less over the more served of two others",
    all: "tokens of the least over the most served of all three, while each has calls that wait",
    small: "until the two others are through, ms",
    last: "until everyone is through, ms",
  });
  await compareArms("fairness", arms, lone, { perSecond: "a lone tenant, calls a second" });
};
