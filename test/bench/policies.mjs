// The whole table: every recorded workload, baseline and capacity, two numbers of open runs, three seeds. About half an hour.
// Arguments are passed on to `simulate`.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("../../../shared/traces/", import.meta.url);
if (!existsSync(folder)) {
  console.log(`no recorded workloads at ${folder.pathname}: nothing to measure`);
  process.exit(0);
}
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const all = readdirSync(new URL("../../src/sim/baselines/", import.meta.url)).map((file) =>
  file.replace(".ts", ""),
);

const traces = readdirSync(folder).filter((file) => file.endsWith(".jsonl.gz"));
/** Long prompts: fewer calls would fill no cache. */
const touches = (trace) => (trace.startsWith("claude_code") ? "1500000" : "300000");
/** Single calls have an order of their own; whole runs are interleaved by seed. */
const order = (trace) => (trace.startsWith("mooncake") ? "own" : "random");

const simulate = (trace, ...more) =>
  spawnSync(
    process.execPath,
    [
      main,
      "simulate",
      fileURLToPath(new URL(trace, folder)),
      "--max-touches",
      touches(trace),
      ...more,
      ...process.argv.slice(2),
    ],
    { stdio: "inherit" },
  );
for (const trace of traces) simulate(trace, "--order", order(trace), "--baseline", all.join());
// Its own times tell which run comes next.
for (const trace of traces.filter((file) => file.startsWith("claude_code")))
  simulate(trace, "--order", "own", "--baseline", all.join());
