import { z } from "zod";
import { arms, usualArms } from "../arms/arm.ts";
import { isPreset, presets } from "../embedded/model/presets.ts";
import { InvalidOptionsError } from "../errors.ts";
import { CAPACITY, CAPACITY_EXPECTED } from "../sim/capacity.ts";
import { defineCommand } from "./command.ts";
import { checkTrace } from "./in-file.ts";
import { workloadOptions } from "./workload-options.ts";

const options = z.strictObject({
  trace: workloadOptions.trace,
  engine: z.enum(["embedded"]).default("embedded").describe("Engine to play it on."),
  concurrency: workloadOptions.concurrency,
  seed: z
    .array(z.int().nonnegative())
    .min(1)
    .default([1, 2, 3])
    .describe("Seeds of what is played and of its gaps, each played in all arms."),
  calls: z.int().positive().default(120).describe("Most calls played per arm and seed, over all runs."),
  capacity: z
    .string()
    .regex(CAPACITY, CAPACITY_EXPECTED)
    .default("50%")
    .describe("KV budget: 50% of the open runs' mean working set, 4096t tokens, or a number of blocks."),
  blockTokens: z
    .int()
    .min(4)
    .optional()
    .describe("Tokens of a block as played; as recorded by default, halved until the longest prompt fits."),
  longestPrompt: z
    .int()
    .min(64)
    .max(65536)
    .default(8192)
    .describe("Most tokens of a prompt; a run ends before its first longer one."),
  gapMs: z
    .number()
    .nonnegative()
    .default(800)
    .describe("Time between a run's calls in milliseconds: its mean, or the most of recorded gaps."),
  answerTokens: z.int().positive().max(1024).default(16).describe("Most tokens of an answer."),
  model: z.string().min(1).default("pico").describe("Random-weight preset (pico, micro, nano, mini, bench)."),
  arms: z
    .array(z.enum(arms))
    .min(1)
    .default([...usualArms])
    .describe("Arms to play. told: hints, and the app says who is next as soon as the model has answered."),
  compareSimulation: z
    .boolean()
    .default(false)
    .describe("Also replay what the arm lru served in the simulator, and print how far the two are apart."),
  format: workloadOptions.format,
  json: workloadOptions.json,
});

export default defineCommand({
  name: "bench",
  summary: "Play a recorded workload on a real engine, hints off against on",
  description:
    "Plays recorded runs as a LangGraph.js app on the embedded engine: recorded agents, their order, and prompts of synthetic text " +
    "with the recorded lengths and sharing. Arms as in the demo: none (prefix cache off), lru (the engine's own prefix caching) and " +
    "hints (cachesage attached, flag on).",
  example: "cachesage bench --trace trace.jsonl --seed 1 --compare-simulation",
  options,
  async run({ trace, format, json, engine: _engine, ...given }, io) {
    check(given);
    await checkTrace("bench", "--trace", trace);
    const { loadWorkload } = await import("../sim/load.ts");
    const workload = await loadWorkload(trace, format);
    const { loadApp } = await import("../arms/load-app.ts");
    const { progressTo } = await import("../arms/progress.ts");
    const { bench } = await loadApp("bench", () => import("../bench/bench.ts"));
    const progress = progressTo(io);
    const { rows, agreement, notes } = await bench(workload, { ...given, signal: io.signal, progress });
    if (json) {
      io.stdout(`${JSON.stringify({ rows, ...(given.compareSimulation && { agreement }) })}\n`);
    } else {
      const { armTable } = await import("../arms/table.ts");
      io.stdout(`${armTable(rows, io.columns)}\n`);
      const { agreementTable } = await import("../bench/agreement-table.ts");
      if (given.compareSimulation) io.stdout(`${agreementTable(agreement, io.columns)}\n`);
    }
    for (const note of notes) io.stderr(`${note}\n`);
    return 0;
  },
});

/** What the schema cannot say. */
function check({
  model,
  arms: chosen,
  compareSimulation,
}: Pick<z.output<typeof options>, "model" | "arms" | "compareSimulation">): void {
  if (!isPreset(model))
    throw new InvalidOptionsError("bench", `--model: must be a preset, got ${JSON.stringify(model)}`, {
      hint: `The synthetic text is made for the presets' vocabulary: ${Object.keys(presets).join(", ")}.`,
    });
  if (compareSimulation && !chosen.includes("lru"))
    throw new InvalidOptionsError(
      "bench",
      "--compare-simulation: compares the arm lru, which is not played",
      {
        hint: "Add lru to --arms.",
      },
    );
}
