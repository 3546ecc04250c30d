import { z } from "zod";
import { formats } from "../sim/registries.ts";

const names = await formats.names();

/** What commands that take a recorded workload have in common; each takes some of them, in the order of its own help. */
export const workloadOptions = {
  trace: z.string().min(1).describe("A recorded workload, plain or gzipped."),
  format: z
    .string()
    .optional()
    .describe(`Trace format (${names.join(", ")}); told from the first record by default.`),
  concurrency: z.int().positive().default(8).describe("Runs open at once; those of a thread count as one."),
  seed: z.int().nonnegative().default(1).describe("Seed of the order of runs and of their interleaving."),
  order: z
    .enum(["auto", "own", "random"])
    .default("auto")
    .describe("How runs interleave: by the trace's own times, at random, or own where it has times."),
  json: z.boolean().default(false).describe("Print one JSON object instead of tables."),
};
