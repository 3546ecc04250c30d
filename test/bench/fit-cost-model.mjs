import { availableParallelism } from "node:os";
import Table from "cli-table3";
import { median } from "simple-statistics";
import { startEmbeddedEngine } from "../../dist/embedded/index.js";

/**
 * Measures the embedded engine and fits the coefficients of src/sim/cost-model.ts:
 *
 *     npm run build && node test/bench/fit-cost-model.mjs [preset...]
 */
const REPEATS = 3;
const PROMPT_WORDS = [16, 64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096];
/** Answers that are decoded together, as many as the demo has runs open. */
const ANSWERS = 8;
const ANSWER_TOKENS = 64;
const SYLLABLES = ["ka", "lo", "mi", "ne", "ru", "sa", "ti", "vo", "be", "du"];

let state = 1;
const random = () => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
const word = () =>
  Array.from({ length: 2 }, () => SYLLABLES[Math.floor(random() * SYLLABLES.length)]).join("");
const text = (words) => Array.from({ length: words }, word).join(" ");

async function ask(engine, words, answerTokens) {
  const body = {
    model: engine.model,
    messages: [{ role: "user", content: text(words) }],
    max_tokens: answerTokens,
  };
  const started = performance.now();
  const response = await fetch(`${engine.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const { usage, error } = await response.json();
  if (!usage) throw new Error(`the engine answered ${response.status}: ${JSON.stringify(error)}`);
  return { ms: performance.now() - started, prompt: usage.prompt_tokens, output: usage.completion_tokens };
}

/** Milliseconds of a cold prompt of each length up to its first token: the median of the repeats. */
async function measurePrefill(engine) {
  const samples = [];
  for (const words of PROMPT_WORDS) {
    const repeats = [];
    for (let i = 0; i < REPEATS; i++) repeats.push(await ask(engine, words, 1));
    samples.push({
      prompt: median(repeats.map(({ prompt }) => prompt)),
      ms: median(repeats.map(({ ms }) => ms)),
      spread: Math.max(...repeats.map(({ ms }) => ms)) - Math.min(...repeats.map(({ ms }) => ms)),
    });
  }
  return samples;
}

/** Milliseconds of engine time that each token of an answer takes while several answers are decoded together. */
async function measureAnswers(engine) {
  const repeats = [];
  const together = (tokens) => Promise.all(Array.from({ length: ANSWERS }, () => ask(engine, 64, tokens)));
  for (let i = 0; i < REPEATS; i++) {
    const started = performance.now();
    const first = await together(1);
    const between = performance.now();
    const all = await together(ANSWER_TOKENS);
    const ended = performance.now();
    repeats.push((ended - between - (between - started)) / (outputTokens(all) - outputTokens(first)));
  }
  return median(repeats);
}

function outputTokens(answers) {
  return answers.reduce((sum, { output }) => sum + output, 0);
}

/**
 * Least squares of relative errors, so that short prompts count as much as long ones: solves the normal equations of
 * ms = c0 + c1 * tokens (+ c2 * tokens^2).
 */
function fit(samples, degree) {
  const powers = Array.from({ length: degree + 1 }, (_, power) => power);
  const rows = samples.map(({ prompt, ms }) => powers.map((power) => prompt ** power / ms));
  const product = (left, right) => rows.reduce((sum, row) => sum + left(row) * right(row), 0);
  const matrix = powers.map((i) => [
    ...powers.map((j) =>
      product(
        (row) => row[i],
        (row) => row[j],
      ),
    ),
    product(
      (row) => row[i],
      () => 1,
    ),
  ]);
  for (const [i, pivot] of matrix.entries())
    for (const [j, row] of matrix.entries()) {
      if (i === j) continue;
      const factor = row[i] / pivot[i];
      for (const k of row.keys()) row[k] -= factor * pivot[k];
    }
  const coefficients = matrix.map((row, i) => row[degree + 1] / row[i]);
  const modelled = ({ prompt }) => coefficients.reduce((sum, value, i) => sum + value * prompt ** i, 0);
  const errors = samples.map((sample) => Math.abs(modelled(sample) / sample.ms - 1));
  return { coefficients, modelled, worst: Math.max(...errors) };
}

const threads = Math.max(1, availableParallelism() - 1);
const presets = process.argv.length > 2 ? process.argv.slice(2) : ["pico", "bench"];
for (const preset of presets) {
  const engine = await startEmbeddedEngine({
    model: preset,
    threads,
    prefixCaching: false,
    kvTokens: 65536,
    contextTokens: 16384,
    sequences: ANSWERS,
  });
  try {
    await ask(engine, 512, 8);
    const samples = await measurePrefill(engine);
    const answerTokenMs = await measureAnswers(engine);
    const line = fit(samples, 1);
    const parabola = fit(samples, 2);
    const isCurved = parabola.coefficients.every((value) => value > 0) && parabola.worst < line.worst;
    const { coefficients, modelled, worst } = isCurved ? parabola : line;
    const table = new Table({
      head: ["prompt tokens", "measured ms", "spread", "modelled ms"],
      style: { head: [], border: [] },
    });
    for (const sample of samples)
      table.push([
        sample.prompt,
        sample.ms.toFixed(1),
        sample.spread.toFixed(1),
        modelled(sample).toFixed(1),
      ]);
    console.log(table.toString());
    const [overheadMs, tokenMs, squaredTokenMs = 0] = coefficients;
    console.log(
      JSON.stringify({
        model: preset,
        threads,
        date: new Date().toISOString().slice(0, 10),
        overheadMs,
        tokenMs,
        squaredTokenMs,
        answerTokenMs,
        largestError: worst,
      }),
    );
  } finally {
    await engine.close();
  }
}
