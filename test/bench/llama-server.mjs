// The demo's team on a real llama-server, hints off against on, in turn: eight runs open on four slots. Needs llama-server on PATH
// (test/engines/install-llama-server.sh FOLDER) and a build. Prints the demo's table, and the README's. Two to three minutes on a
// machine of its own. A word on the command line is options of the adapter, as JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { armTable } from "../../dist/arms/table.js";
import { playDemo } from "../../dist/demo/play.js";
import { ensureModelFile } from "../../dist/embedded/model/model-file.js";
import { presets } from "../../dist/embedded/model/presets.js";

const SEEDS = [1, 2, 3];
/** As the demo has them, but for the KV budget, which is the server's: four slots of 4,096 tokens. */
const play = { tasks: undefined, runs: 8, concurrency: 8, kvTokens: 0, toolMs: 1200, answerTokens: 16 };

const folder = mkdtempSync(path.join(tmpdir(), "cachesage-llama-server-"));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const model = await ensureModelFile(presets.pico, 1, path.join(tmpdir(), "cachesage-test-models"));
const flags =
  `--host 127.0.0.1 --port ${port} --offline --no-ui -t 1 -c 16384 --parallel 4 --no-kv-unified -b 512 -ub 512 -fa on ` +
  `--slots --metrics --threads-http 16 --cache-ram 0 --slot-save-path ${folder}`;
const server = spawn("llama-server", ["-m", model, "--alias", "pico", ...flags.split(" ")], {
  stdio: "ignore",
});
server.on("error", (error) => {
  console.error(`llama-server cannot be started: ${error.message}`);
  process.exit(1);
});
try {
  await ready();
  const { rows, notes } = await playDemo({
    ...play,
    seed: SEEDS,
    route: "table",
    model: "pico",
    engine: `${url}/v1`,
    engineName: "llama-server",
    engineOptions: JSON.parse(process.argv[2] ?? "{}"),
    arms: ["lru", "hints"],
    signal: AbortSignal.timeout(20 * 60_000),
    progress: (text, finished) => finished && console.error(text),
  });
  console.log(armTable(rows));
  console.log(readmeRows(rows));
  for (const note of notes) console.error(note);
} finally {
  server.kill();
  rmSync(folder, { recursive: true, force: true });
}

/** Seeds as columns: off and on. */
function readmeRows(rows) {
  const line = (name, text) => {
    const cells = SEEDS.map((seed) =>
      ["lru", "hints"]
        .map((arm) => text(rows.find((row) => row.seed === seed && row.arm === arm)))
        .join(" to "),
    );
    return `| ${name} | ${cells.join(" | ")} |`;
  };
  return [
    `| lru to hints | ${SEEDS.map((seed) => `seed ${seed}`).join(" | ")} |`,
    `|---|${SEEDS.map(() => "---|").join("")}`,
    line("hit rate, %", ({ hit_rate: share }) => (100 * share).toFixed(1)),
    line("mean TTFT, ms", ({ ttft_ms: { mean } }) => mean.toFixed(0)),
    line("p99 TTFT, ms", ({ ttft_ms: { p99 } }) => p99.toFixed(0)),
    line("runs a minute", ({ runs_per_minute: runs }) => runs.toFixed(1)),
  ].join("\n");
}

async function ready() {
  for (let left = 300; left > 0; left--) {
    const isUp = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    await delay(100);
  }
  throw new Error("llama-server did not get ready in 30 s");
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port: free } = probe.address();
  probe.close();
  return free;
}
