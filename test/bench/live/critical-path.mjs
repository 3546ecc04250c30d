import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { mean, quantile } from "simple-statistics";
import { embedded, pause, streamed, withApp, words } from "../live-app.mjs";
import { compareArms } from "../live-arms.mjs";

const limit = (most) => ({ initial: most, min: most, max: most });
/** Hints reach the engine, which serves in order, or by priority. */
const fcfs = { cacheHints: true, engine: { schedulingPolicy: "fcfs" } };
const byPriority = { cacheHints: true, engine: { schedulingPolicy: "priority" } };

/** Branches that join: one calls the model four times, three others once. Four apps, each with one run after the other. */
async function joins({ policies = {}, engine, cacheHints = false }, seed = 0) {
  const times = [];
  let count = 0;
  const play = async ({ sage, model }) => {
    const node = (name, calls) => async () => {
      for (let i = 0; i < calls; i++)
        await streamed(model, [{ role: "user", content: words(60, `${name}${seed}-${count++}-`) }]);
      return {};
    };
    const builder = new StateGraph(MessagesAnnotation)
      .addNode("short1", node("short1", 1))
      .addNode("short2", node("short2", 1))
      .addNode("short3", node("short3", 1))
      .addNode("long", node("long", 4))
      .addNode("join", node("join", 1));
    for (const name of ["short1", "short2", "short3", "long"])
      builder.addEdge(START, name).addEdge(name, "join");
    const graph = sage.instrument(builder.compile());
    const started = performance.now();
    await Promise.all(
      Array.from({ length: 4 }, async (_, app) => {
        await pause(40 * app);
        for (let round = 0; round < 4; round++) {
          const began = performance.now();
          await graph.invoke({ messages: [] });
          if (round > 0) times.push(performance.now() - began);
        }
      }),
    );
    return performance.now() - started;
  };
  const { result } = await withApp(embedded(engine), policies, play, { cacheHints });
  return { run: mean(times), p99: quantile(times, 0.99), all: result };
}

/** Branches of different length that join. */
export default () =>
  compareArms(
    "admission, critical path",
    {
      off: () => ({}),
      "four at once": () => ({ ...fcfs, policies: { admission: limit(4) } }),
      "four at once, engine by priority": () => ({ ...byPriority, policies: { admission: limit(4) } }),
      "all at once, engine by priority": () => ({ ...byPriority, policies: { admission: limit(256) } }),
    },
    joins,
    {
      run: "a run whose branches join, four apps at once, mean ms",
      p99: "the same, p99 ms",
      all: "until all runs are through, ms",
    },
  );
