import { readFile } from "node:fs/promises";
import { z } from "zod";
import { arms, usualArms } from "../arms/arm.ts";
import { InvalidOptionsError } from "../errors.ts";
import { defineCommand } from "./command.ts";
import { readJsonObject } from "./json-object.ts";

const options = z.strictObject({
  task: z.string().min(1).optional().describe("A task of your own; every run works on it."),
  tasks: z.string().optional().describe("File with one task a line; a list of real tasks by default."),
  seed: z
    .array(z.number().int().nonnegative())
    .min(1)
    .default([1, 2, 3])
    .describe("Seeds, each played in all arms."),
  runs: z.number().int().positive().default(8).describe("Runs of the team per arm."),
  concurrency: z.number().int().positive().default(8).describe("Runs open at once."),
  kvTokens: z.number().int().min(64).default(6144).describe("KV budget in tokens, the same in all arms."),
  toolMs: z.number().nonnegative().default(1200).describe("Mean time of a tool call in milliseconds."),
  answerTokens: z.number().int().positive().default(16).describe("Tokens of each answer."),
  route: z
    .enum(["table", "random", "llm"])
    .default("table")
    .describe("Who is next: a seeded transition table, chance, or the model's NEXT: line."),
  model: z
    .string()
    .optional()
    .describe(
      "Random-weight preset (pico, micro, nano, mini, bench) or the path of a .gguf file; by default the largest preset that computes 1,000 tokens of prompt within 100 ms here.",
    ),
  engine: z
    .url()
    .optional()
    .describe("A server that already runs, with the model and cache that it has; all arms but none."),
  engineName: z.string().default("embedded").describe("What runs there; see: cachesage engines."),
  engineOptions: z.string().default("{}").describe("Options of its adapter as a JSON object."),
  arms: z
    .array(z.enum(arms))
    .min(1)
    .default([...usualArms])
    .describe(
      "Arms to play. told: hints, and the app says who is next as soon as the model has answered, before the tools run.",
    ),
  json: z.boolean().default(false).describe("Print one JSON object instead of the table."),
});

export default defineCommand({
  name: "demo",
  summary: "A six-agent LangGraph.js team on a real engine, hints off against on",
  description:
    "Plays the same runs in three arms, in alternating order: none (prefix cache off), lru (the engine's own prefix " +
    "caching, cachesage not attached) and hints (cachesage attached, flag on). The default model has random weights: " +
    "its text is meaningless, its KV behaviour and prefill cost are real.",
  example: "cachesage demo --seed 1 --runs 8",
  options,
  async run(given, io) {
    check(given);
    const { loadApp } = await import("../arms/load-app.ts");
    const { progressTo } = await import("../arms/progress.ts");
    const { playDemo } = await loadApp("demo", () => import("../demo/play.ts"));
    const { engines } = await import("../engine-registry.ts");
    await engines.load(given.engineName);
    const tasks = await readTasks(given.task, given.tasks);
    const engineOptions = readJsonObject("demo", "--engine-options", given.engineOptions);
    const { rows, notes } = await playDemo({
      ...given,
      engineOptions,
      tasks,
      signal: io.signal,
      progress: progressTo(io),
    });
    if (given.json) {
      io.stdout(`${JSON.stringify({ rows })}\n`);
    } else {
      const { armTable } = await import("../arms/table.ts");
      io.stdout(`${armTable(rows, io.columns)}\n`);
    }
    for (const note of notes) io.stderr(`${note}\n`);
    return 0;
  },
});

/** What the schema cannot say. */
function check({ task, tasks, engine, engineName, model, arms: chosen }: z.output<typeof options>): void {
  if (task !== undefined && tasks !== undefined)
    throw new InvalidOptionsError("demo", "--task, --tasks: got both", {
      hint: "Give one task, or a file of them.",
    });
  if (engine === undefined && engineName !== "embedded")
    throw new InvalidOptionsError(
      "demo",
      `--engine-name: ${engineName} is not what the demo starts itself, and no --engine was given`,
      { hint: "Give the url of the server that runs: --engine http://127.0.0.1:8000/v1" },
    );
  if (engine !== undefined && model !== undefined)
    throw new InvalidOptionsError("demo", `--model: the server at --engine has its own, got ${model}`, {
      hint: "Leave out --model, or --engine.",
    });
  if (engine !== undefined && chosen.every((arm) => arm === "none"))
    throw new InvalidOptionsError(
      "demo",
      "--arms: none cannot be played on a server that already runs, and no other was chosen",
      { hint: "Its prefix cache is not the demo's to turn off: choose lru, hints or both." },
    );
}

async function readTasks(
  task: string | undefined,
  file: string | undefined,
): Promise<readonly string[] | undefined> {
  if (task !== undefined) return [task];
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new InvalidOptionsError("demo", `--tasks: the file cannot be read, got ${JSON.stringify(file)}`, {
      hint: "Pass a text file with one task a line.",
      cause: error,
    });
  }
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (lines.length === 0)
    throw new InvalidOptionsError("demo", `--tasks: no task in ${JSON.stringify(file)}`, {
      hint: "Write one task a line.",
    });
  return lines;
}
