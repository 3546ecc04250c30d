import Table from "cli-table3";
import { watching } from "./dashboard.mjs";
import { decidingAll } from "./gate.mjs";
import { context, observation, splicing } from "./langgraph.mjs";
import { replaying } from "./replay.mjs";
import { deciding, holding, observing, predicting, remembering } from "./runtime.mjs";

const us = (value) => `${value.toFixed(value < 10 ? 2 : 1)} us`;
const table = new Table({ head: ["what", "measured", "goal", ""], style: { head: [], border: [] } });
const row = (what, measured, goal, met) => table.push([what, measured, goal, met ? "met" : "missed"]);

for (const openRuns of [1000, 10_000]) {
  const observe = observing({ openRuns });
  row(
    `observe one event, 24 agents, ${openRuns.toLocaleString("en")} open runs`,
    `mean ${us(observe.mean)}`,
    "<= 1 us",
    observe.mean <= 1,
  );
}
const predict = predicting();
row(
  `predict + score a run's live prefixes (${predict.candidates.toFixed(1)} on average)`,
  `mean ${us(predict.mean)}, p50 ${us(predict.p50)}, p99 ${us(predict.p99)} (of all ${us(predict.p99OfAll)})`,
  "mean <= 5 us, p99 <= 8 us",
  predict.mean <= 5 && predict.p99 <= 8,
);
for (const [isWhole, events] of [
  [false, "requests alone"],
  [true, "with answers, tools and times"],
]) {
  const decide = deciding({ isWhole });
  table.push([
    `whole decision of prefix-cache, ${events} (${decide.actions.toFixed(1)} actions on average)`,
    `mean ${us(decide.mean)}, p50 ${us(decide.p50)}, p99 ${us(decide.p99)} (of all ${us(decide.p99OfAll)})`,
    "no goal yet",
    "",
  ]);
}
const { all, gate } = await decidingAll();
row(
  `all policies, a model call with its verdict, 24 agents, 100 open runs (of that at the gate: ${us(gate.mean)})`,
  `mean ${us(all.mean)}, p50 ${us(all.p50)}, p99 ${us(all.p99)} (of all ${us(all.p99OfAll)})`,
  "mean <= 25 us, p99 <= 60 us",
  all.mean <= 25 && all.p99 <= 60,
);
for (const [follow, calls] of [
  [0.7, "3 of 10"],
  [0.1, "9 of 10"],
]) {
  const state = remembering({ follow });
  row(
    `learned state of 24 agents as JSON, ${calls} calls at random`,
    `${(state.bytes / 1024).toFixed(1)} KB`,
    "<= 20 KB",
    state.bytes <= 20 * 1024,
  );
}
const memory = holding();
row(
  "memory a live prefix, learner (with its list and policy)",
  `${memory.learner.toFixed(0)} bytes (${memory.all.toFixed(0)} bytes)`,
  "<= 200 bytes",
  memory.learner <= 200,
);
for (const openRuns of [100, 1000, 10_000]) {
  const { lru, cachesage } = replaying(openRuns);
  row(
    `replay, ${openRuns} open runs: million block touches a second`,
    `lru ${lru.toFixed(1)}, cachesage ${cachesage.toFixed(1)}`,
    ">= 1, >= 0.2",
    lru >= 1 && cachesage >= 0.2,
  );
}
const splice = splicing();
row(
  `add hints to a body of ${splice.kilobytes.toFixed(0)} KB`,
  `mean ${us(splice.mean)}, p99 ${us(splice.p99)}`,
  "<= 50 us",
  splice.mean <= 50,
);
const hop = (what, { plain, noise }, { p50 }, goal) =>
  row(
    `${what} per node hop`,
    `${us(p50)} CPU (p50; noise ${us(noise.p50)}, hop itself ${us(plain.p50)})`,
    `<= ${goal} us`,
    p50 <= goal,
  );
const scope = await context();
hop("context, no handler,", scope, scope.context, 10);
const observed = await observation();
hop("observation alone, above a no-op handler,", observed, observed.alone, 50);
hop("the same with learner and policies,", observed, observed.decisions, 50);
hop("the same with hints going out,", observed, observed.hints, 50);
const dashboard = watching();
row(
  "an open dashboard: one event (and its slowest view, once)",
  `mean ${us(dashboard.event)} (${dashboard.page.toFixed(1)} ms)`,
  "<= 20 us: 5,000 events a second take a tenth of a core",
  dashboard.event <= 20,
);
console.log(table.toString());
