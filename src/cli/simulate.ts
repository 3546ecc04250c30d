import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { CAPACITY, CAPACITY_EXPECTED } from "../sim/capacity.ts";
import { baselines } from "../sim/registries.ts";
import type { SimulationRow } from "../sim/simulation-row.ts";
import { type CommandIo, defineCommand, type ExitCode } from "./command.ts";
import { checkTrace } from "./in-file.ts";
import { workloadOptions } from "./workload-options.ts";

const policies = await baselines.names();

const options = z.strictObject({
  trace: z.array(z.string().min(1)).min(1).describe("Recorded workloads, plain or gzipped."),
  policy: z
    .string()
    .min(1)
    .default("cachesage")
    .describe(`The policy to judge, one of: ${policies.join(", ")}.`),
  baseline: z
    .array(z.string().min(1))
    .default(["lru", "belady", "order-oracle"])
    .describe("Policies to show beside it, of the same ones."),
  capacity: z
    .array(z.string().regex(CAPACITY, CAPACITY_EXPECTED))
    .min(1)
    .default(["10%", "25%", "50%"])
    .describe("Cache sizes: 25% of the open runs' mean working set, 4096t tokens, or a number of blocks."),
  concurrency: z
    .array(z.int().positive())
    .min(1)
    .default([8, 32])
    .describe("Runs open at once; those of a thread count as one."),
  seed: z
    .array(z.int().nonnegative())
    .min(1)
    .default([1, 2, 3])
    .describe("Seeds of the order of runs and of their interleaving."),
  order: workloadOptions.order,
  maxTouches: z
    .int()
    .positive()
    .optional()
    .describe("Stop each replay after this many block touches; all by default."),
  prefetch: z
    .int()
    .nonnegative()
    .default(0)
    .describe(
      "Blocks that the engine has the time to compute ahead between two calls, for policies that prefetch.",
    ),
  format: workloadOptions.format,
  json: workloadOptions.json,
  plot: z.string().min(1).optional().describe("Write hit rate against cache size to this SVG file."),
  failBelow: z
    .number()
    .optional()
    .describe(
      "Exit with 3 when the policy's median share of the gain from LRU to the order oracle is below this, in percent.",
    ),
});

export default defineCommand({
  name: "simulate",
  summary: "Replay recorded workloads through a block cache, policy against baselines",
  description:
    "Replays the calls of recorded runs, several runs interleaved, through a cache of KV blocks. Prints a table a trace: hit rate, " +
    "share of what Belady and the order oracle gain over LRU, work, modelled TTFT and throughput, decision times.",
  example: "cachesage simulate trace.jsonl --policy sieve --capacity 25% --concurrency 8",
  arguments: ["trace"],
  options,
  async run({ trace, policy, baseline, plot, format, json, failBelow, ...given }, io) {
    if (plot !== undefined) await (await import("./out-file.ts")).checkOutFile("simulate", "--plot", plot);
    const { loadContenders, replaysOf, simulate } = await import("../sim/simulate.ts");
    const { loadWorkload } = await import("../sim/load.ts");
    const { describeWorkload, simulationTable } = await import("../sim/simulate-table.ts");
    const { countSteps } = await import("../sim/progress.ts");
    const contenders = await loadContenders([policy, ...baseline]);
    for (const file of trace) await checkTrace("simulate", "<trace>", file);
    const simulation = { ...given, contenders, signal: io.signal };
    const onReplay = countSteps(io, trace.length * replaysOf(simulation));
    const rows: SimulationRow[] = [];
    for (const file of trace) {
      const loaded = await loadWorkload(file, format, io.signal);
      // Of several files of one name, rows and plot must not be taken for those of one trace.
      const isNamesake = rows.some((row) => row.trace === loaded.name);
      const workload = isNamesake ? { ...loaded, name: file } : loaded;
      const found = await simulate(workload, { ...simulation, onReplay });
      if (!json) io.stdout(`${describeWorkload(workload, found)}\n${simulationTable(found, io.columns)}\n`);
      rows.push(...found);
    }
    if (json) io.stdout(`${JSON.stringify({ rows })}\n`);
    if (plot !== undefined) await writeFile(plot, (await import("../sim/plot.ts")).plotRows(rows));
    return failBelow === undefined ? 0 : gate(rows, policy, failBelow, io);
  },
});

async function gate(
  rows: readonly SimulationRow[],
  policy: string,
  least: number,
  { stderr }: CommandIo,
): Promise<ExitCode> {
  const { median } = await import("simple-statistics");
  const shares = rows.flatMap((row) =>
    row.policy === policy && row.oracle_share !== null ? 100 * row.oracle_share : [],
  );
  if (shares.length > 0 && median(shares) >= least) return 0;
  const reached =
    shares.length > 0 ? `${median(shares).toFixed(1)} %` : "nothing, for there is nothing to gain";
  stderr(`${policy} reaches ${reached} of the gain from LRU to the order oracle, less than ${least} %\n`);
  return 3;
}
