import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { defineCommand } from "./command.ts";
import { checkTrace } from "./in-file.ts";
import { workloadOptions } from "./workload-options.ts";

const options = z.strictObject({
  trace: workloadOptions.trace,
  concurrency: workloadOptions.concurrency,
  seed: workloadOptions.seed,
  order: workloadOptions.order,
  maxTouches: z
    .int()
    .positive()
    .default(5_000_000)
    .describe("Stop replays and reuse distances after this many block touches."),
  format: workloadOptions.format,
  json: workloadOptions.json,
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
    io.stdout(json ? `${JSON.stringify(inspection)}\n` : `${inspectionReport(inspection, io.columns)}\n`);
    if (plot !== undefined) {
      const { plotInspection } = await import("../sim/inspect/inspection-plot.ts");
      await writeFile(plot, plotInspection(inspection));
    }
    return 0;
  },
});
