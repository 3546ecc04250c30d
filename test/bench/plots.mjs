// Hit rate against cache size, a picture for each recorded workload, into .github/images/hit-rate/. A few minutes. Takes the
// folder of the workloads; further arguments are passed on to `simulate`.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [given, ...more] = process.argv.slice(2);
const folder =
  given === undefined ? fileURLToPath(new URL("../../../shared/traces/", import.meta.url)) : resolve(given);
const pictures = fileURLToPath(new URL("../../.github/images/hit-rate/", import.meta.url));
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const baselines = ["unbounded", "belady", "no-prediction", "paper", "lru"];
/** These have times of their own that tell which call is next; runs of the others are interleaved by seed. */
const isTimed = (trace) => /^(claude_code|mooncake)/.test(trace);
/** Long prompts: fewer calls would fill no cache. */
const touches = (trace) => (trace.startsWith("claude_code") ? "1500000" : "300000");

mkdirSync(pictures, { recursive: true });
for (const trace of readdirSync(folder).filter((file) => file.endsWith(".jsonl.gz"))) {
  const words = [
    "simulate",
    join(folder, trace),
    "--plot",
    join(pictures, trace.replace(".jsonl.gz", ".svg")),
  ];
  words.push("--baseline", baselines.join(), "--capacity", "2%,5%,10%,25%,50%,75%,100%");
  words.push("--concurrency", "8", "--seed", "1", "--order", isTimed(trace) ? "own" : "random");
  words.push("--max-touches", touches(trace), ...more);
  const { status } = spawnSync(process.execPath, [main, ...words], { stdio: "inherit" });
  process.exitCode ||= status ?? 1;
}
