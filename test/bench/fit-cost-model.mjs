import { availableParallelism } from "node:os";
import Table from "cli-table3";
import { mean } from "simple-statistics";
import { BlockText } from "../../dist/bench/block-text.js";
import { calibrate, engineBatching } from "../../dist/bench/calibrate.js";
import { idleTtftMs } from "../../dist/sim/cost-model.js";
import { fitCost } from "../../dist/sim/fit-cost.js";

/**
 * Measures the embedded engine and fits the coefficients of src/sim/cost-model.ts:
 *
 *     npm run build && node test/bench/fit-cost-model.mjs [preset...]
 */
const LONGEST_PROMPT = 8192;
const presets = process.argv.length > 2 ? process.argv.slice(2) : ["pico", "bench"];
const text = new BlockText();

/** Samples that differ in their time only, as one with their mean time. */
function means(samples) {
  const groups = new Map();
  for (const { ms, ...kind } of samples) {
    const key = JSON.stringify(kind);
    groups.set(key, [...(groups.get(key) ?? []), ms]);
  }
  return [...groups].map(([kind, times]) => ({ ...JSON.parse(kind), ms: mean(times) }));
}

for (const model of presets) {
  const { signal } = new AbortController();
  const samples = await calibrate({
    model,
    contextTokens: LONGEST_PROMPT + 512,
    longestPrompt: LONGEST_PROMPT,
    kvTokens: 2 * LONGEST_PROMPT,
    gapMs: 100,
    text,
    signal,
  });
  const { cost, typicalError } = fitCost(samples, engineBatching());
  const table = new Table({
    head: ["prompt tokens", "cached", "measured ms", "modelled ms"],
    style: { head: [], border: [] },
  });
  for (const { prompt, cached, ms } of means(samples.firstTokens))
    table.push([prompt, cached, ms.toFixed(1), idleTtftMs(cost, cached, prompt).toFixed(1)]);
  const answers = new Table({
    head: ["answers together", "tokens before", "measured ms a token", "modelled ms"],
    style: { head: [], border: [] },
  });
  for (const { together, context, ms } of means(samples.answers)) {
    const modelled = cost.stepMs + together * (cost.answerTokenMs + cost.answerContextMs * context);
    answers.push([together, context, ms.toFixed(2), modelled.toFixed(2)]);
  }
  console.log(table.toString());
  console.log(answers.toString());
  const threads = Math.max(1, availableParallelism() - 1);
  const date = new Date().toISOString().slice(0, 10);
  console.log(JSON.stringify({ model, threads, date, ...cost, typicalError }));
}
process.exit(0);
