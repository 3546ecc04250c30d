// The whole table: every recorded workload, baseline and capacity, two numbers of open runs, three seeds, which takes about half an
// hour; then the policies at the gate, each on a live app. Options are passed on to `simulate`; names of live loads, such as
// fairness, play these alone.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const live = (...names) =>
  spawnSync(process.execPath, [fileURLToPath(new URL("live.mjs", import.meta.url)), ...names], {
    stdio: "inherit",
  }).status ?? 1;
const asked = process.argv.slice(2);
if (asked.length > 0 && asked.every((name) => !name.startsWith("-"))) process.exit(live(...asked));

const folder = new URL("../../../shared/traces/", import.meta.url);
if (!existsSync(folder)) {
  console.log(`no recorded workloads at ${folder.pathname}: nothing to replay`);
  process.exit(live());
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
      ...asked,
    ],
    { stdio: "inherit" },
  );
for (const trace of traces) simulate(trace, "--order", order(trace), "--baseline", all.join());
// Its own times tell which run comes next.
for (const trace of traces.filter((file) => file.startsWith("claude_code")))
  simulate(trace, "--order", "own", "--baseline", all.join());
if (asked.length === 0) process.exit(live());
