// Plays some runs of a team and shares what is learned of them. The runs of one number are the same in every process.
import { argv, stdout } from "node:process";
import { setImmediate as turn } from "node:timers/promises";

const [, , dist, kind, place, first, last, calls] = argv;
const load = (file) => import(new URL(file, dist).href);
const { LearnedPredictor } = await load("learn/predictor.js");
const { SharedState } = await load("shared-state.js");
const store =
  kind === "redis"
    ? await (await load("stores/redis.js")).RedisStore.fromUrl(place, { timeoutMs: 500 })
    : new (await load("stores/file.js")).FileStore(place);
const predictor = new LearnedPredictor();
const shared = new SharedState({
  store,
  predictor,
  everyMs: 150,
  engine: "none",
  onFault: () => {},
  warn: () => {},
});
await shared.start();
let at = 0;
for (let run = Number(first); run < Number(last); run++) {
  shared.observe({ type: "run-start", at: ++at, run: `${run}` });
  for (let step = 0; step < Number(calls); step++) {
    const agent = `agent ${(run * 7 + step * (1 + (run % 3))) % 6}`;
    const prompt = { anchor: { hash: agent, length: 4000 }, history: [] };
    const identity = { run: `${run}`, agent, namespace: agent, step, request: `${run}/${step}` };
    shared.observe({ type: "request-start", at: ++at, ...identity, prompt });
    shared.observe({ type: "request-end", at: ++at, ...identity, status: "completed" });
  }
  shared.observe({ type: "run-end", at: ++at, run: `${run}`, status: "completed" });
  if (run % 8 === 0) await turn();
}
for (let tries = 0; shared.stats.waiting > 0 || tries === 0; tries++) await shared.exchange();
await shared.close();
await store.close();
stdout.write(JSON.stringify(shared.stats));
