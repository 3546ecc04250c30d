// The whole table: every recorded workload, every baseline, three capacities, two concurrencies, three seeds. Minutes.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

const folder = new URL("../../../shared/traces/", import.meta.url);
if (!existsSync(folder)) {
  console.log(`no recorded workloads at ${folder.pathname}: nothing to measure`);
  process.exit(0);
}
const main = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const baselines = readdirSync(new URL("../../src/sim/baselines/", import.meta.url)).map((file) =>
  file.replace(".ts", ""),
);
const traces = readdirSync(folder).filter((file) => file.endsWith(".jsonl.gz"));
const run = (trace, ...more) =>
  spawnSync(
    process.execPath,
    [
      main,
      "simulate",
      new URL(trace, folder).pathname,
      "--max-touches",
      "1500000",
      ...more,
      ...process.argv.slice(2),
    ],
    {
      stdio: "inherit",
    },
  );
for (const trace of traces)
  run(trace, "--order", trace.startsWith("mooncake") ? "own" : "random", "--baseline", baselines.join());
// Its own times tell which run comes next.
for (const trace of traces.filter((file) => file.startsWith("claude_code"))) run(trace, "--order", "own");
