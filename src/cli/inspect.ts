import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { defineCommand } from "./command.ts";
import { checkTrace } from "./in-file.ts";

const options = z.strictObject({
  trace: z.string().min(1).describe("A recorded workload, plain or gzipped."),
  concurrency: z.int().positive().default(8).describe("Runs open at once."),
  seed: z.int().nonnegative().default(1).describe("Seed of the order of runs and of their interleaving."),
  order: z
    .enum(["auto", "own", "random"])
    .default("auto")
    .describe("How runs interleave: by the trace's own times, at random, or own where it has times."),
  maxTouches: z
    .int()
    .positive()
    .default(5_000_000)
    .describe("Stop replays and reuse distances after this many block touches."),
  format: z.string().optional().describe("Trace format; told from the first record by default."),
  json: z.boolean().default(false).describe("Print one JSON object instead of tables."),
  plot: z
    .string()
    .min(1)
    .optional()
    .describe("Write the transitions as a heat map and hit rate against cache size to this SVG file."),
});

export default defineCommand({
  name: "inspect",
  summary: "Tell whether a recorded workload can gain at all, and from what",
  description:
    "Describes a recorded workload: agents, anchors, reuse distances, who follows whom and how predictable that is, LRU and its " +
    "bounds at several cache sizes. Ends with a verdict in words.",
  example: "cachesage inspect trace.jsonl --plot trace.svg",
  arguments: ["trace"],
  options,
  async run({ trace, plot, format, json, ...given }, io) {
    await checkTrace("inspect", "<trace>", trace);
    if (plot !== undefined) await (await import("./out-file.ts")).checkOutFile("inspect", "--plot", plot);
    const { loadWorkload } = await import("../sim/load.ts");
    const { inspect, STEPS } = await import("../sim/inspect/inspection.ts");
    const { inspectionReport } = await import("../sim/inspect/report.ts");
    const { countSteps } = await import("../sim/progress.ts");
    const workload = await loadWorkload(trace, format, io.signal);
    const inspection = await inspect(workload, {
      ...given,
      signal: io.signal,
      onStep: countSteps(io, STEPS),
    });
    io.stdout(json ? `${JSON.stringify(inspection)}\n` : `${inspectionReport(inspection)}\n`);
    if (plot !== undefined) {
      const { plotInspection } = await import("../sim/inspect/inspection-plot.ts");
      await writeFile(plot, plotInspection(inspection));
    }
    return 0;
  },
});
