import { once } from "node:events";
import { basename } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { Observed } from "../dashboard/observed.ts";
import { dashboardOptions } from "../dashboard/options.ts";
import { plainReason } from "../dashboard/plain-reason.ts";
import type { Problem } from "../dashboard/views/shown.ts";
import { CacheSageError } from "../errors.ts";
import { CAPACITY, CAPACITY_EXPECTED } from "../sim/capacity.ts";
import { type CommandIo, defineCommand } from "./command.ts";
import { workloadOptions } from "./workload-options.ts";

const options = dashboardOptions.omit({ kvTokens: true }).extend({
  recording: z.string().min(1).optional().describe("A recorded workload, plain or gzipped."),
  capacity: z
    .string()
    .regex(CAPACITY, CAPACITY_EXPECTED)
    .default("25%")
    .describe("Simulated cache: 25% of the open runs' mean working set, 4096t tokens, or blocks."),
  concurrency: workloadOptions.concurrency,
  seed: workloadOptions.seed,
  order: workloadOptions.order,
  maxTouches: z.int().positive().default(1_000_000).describe("Play no more than so many block touches."),
  seconds: z.number().positive().default(60).describe("Time that the whole recording is played in."),
  format: workloadOptions.format,
  json: z.boolean().default(false).describe("Print the JSON line and, but for faults, nothing else."),
});

type Options = z.output<typeof options>;

const RETRY_MS = 2000;

const ATTACH: Problem = {
  title: "Nothing to show yet",
  text: "An app shows its own numbers: the dashboard runs inside it, beside the graph.",
  steps: [
    'Connect as usual: const sage = await CacheSage.connect("http://localhost:8000/v1", { engine: "vllm" });',
    "Open its dashboard: const { url } = await sage.dashboard({ port: 4983 });",
    "Open the url that it returns in a browser on the same machine.",
    "Or show a recording here: cachesage record --out trace.jsonl -- node app.js, then cachesage dash trace.jsonl",
  ],
};

export default defineCommand({
  name: "dash",
  summary: "Show a recording on the dashboard, or how to attach one to an app",
  description:
    "Serves a live page, to this machine only by default. With a recording it plays it: the real learner and policy decide, and a " +
    "simulated cache tells what is cached. Without one it says how to open the page inside an app. A recording that " +
    "cannot be read is told on the page, and tried again. Prints one JSON line with the url when it is ready.",
  example: "cachesage dash trace.jsonl --seconds 120",
  arguments: ["recording"],
  options,
  async run(given, io) {
    const { recording, host, port, allowedHosts, refreshMs, json } = given;
    const say = json ? () => {} : io.stderr.bind(io);
    const { serveDashboard } = await import("../dashboard/server.ts");
    let shown: Observed | Problem = ATTACH;
    const served = await serveDashboard(() => shown, { host, port, allowedHosts, refreshMs });
    io.stdout(`${JSON.stringify({ url: served.url })}\n`);
    say(`The dashboard is at ${served.url}. Ctrl-C stops.\n`);
    try {
      if (recording === undefined) {
        for (const step of [ATTACH.text, ...ATTACH.steps]) say(`  ${step}\n`);
        if (!io.signal.aborted) await once(io.signal, "abort");
      } else {
        await showRecording(recording, given, io, (next) => (shown = next));
      }
    } catch (error) {
      if (!io.signal.aborted) throw error;
    } finally {
      await served.close();
    }
    return 0;
  },
});

/** Plays a recording once it can be read, then stands by until the command is interrupted. */
async function showRecording(
  recording: string,
  { capacity, seconds, format, concurrency, seed, order, maxTouches }: Options,
  { signal, stderr }: CommandIo,
  show: (next: Observed | Problem) => void,
): Promise<void> {
  const { loadWorkload } = await import("../sim/load.ts");
  const { schedule } = await import("../sim/schedule.ts");
  const { Player } = await import("../playback/player.ts");
  const { Observed: Observing } = await import("../dashboard/observed.ts");
  show({ title: "Reading the recording", text: basename(recording), steps: [] });
  let complaint = "";
  for (;;) {
    try {
      const workload = await loadWorkload(recording, format);
      const scheduled = schedule(workload, { concurrency, seed, order, maxTouches });
      const player = new Player(scheduled, { capacity, seconds });
      const observed = new Observing(player.source, { kvTokens: undefined, everyMs: RETRY_MS });
      try {
        show(observed);
        await player.play(signal);
        stderr("The recording is over; the page stays.\n");
        await once(signal, "abort");
      } finally {
        observed.stop();
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      // What was asked for wrongly does not come right by waiting.
      if (CacheSageError.isInstance(error) && ["INVALID_OPTIONS", "UNKNOWN_NAME"].includes(error.code))
        throw error;
      const text = error instanceof Error ? error.message : String(error);
      if (text !== complaint) stderr(`${text}\n`);
      complaint = text;
      show(unreadable(plainReason(text)));
      await wait(RETRY_MS, undefined, { signal });
    }
  }
}

function unreadable(text: string): Problem {
  return {
    title: "The recording cannot be shown",
    text,
    steps: [
      "Check that the file is there, and that it is one of the formats that cachesage inspect reads.",
      "Record one: cachesage record --out trace.jsonl -- node app.js",
      "This page looks again every two seconds.",
    ],
  };
}
