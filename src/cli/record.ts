import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { defineCommand } from "./command.ts";
import { checkOutFile } from "./out-file.ts";

const options = z.strictObject({
  out: z
    .string()
    .min(1)
    .describe("The trace to write, gzipped if its name ends in .gz; an older one is replaced."),
  json: z
    .boolean()
    .default(false)
    .describe("Print one JSON object when the app has ended; its own stdout then goes to stderr."),
  command: z.array(z.string()).optional().describe("The command line that runs the app, with Node.js."),
});

export default defineCommand({
  name: "record",
  summary: "Record the model calls of a LangGraph.js app, as it is",
  description:
    "Runs a LangGraph.js app and writes a line for each of its model calls: agent, run, step, times, tokens, and the prompt as " +
    "keyed hashes of its blocks. No text is kept, no request is changed, no line of the app has to be. Exits as the app does. " +
    "What it wrote is for inspect and simulate.",
  example: "cachesage record --out trace.jsonl -- node app.mjs",
  arguments: ["command"],
  takesCommandLine: true,
  options,
  async run({ out, json, command = [] }, io) {
    if (command.length === 0)
      throw new InvalidOptionsError("record", "<command>: nothing to run, got no words after the options", {
        hint: "Write the command line of the app last: cachesage record --out trace.jsonl -- node app.mjs",
      });
    await checkOutFile("record", "--out", out);
    const { traceFile } = await import("../record/trace-file.ts");
    const { runApp } = await import("../record/app.ts");
    const trace = traceFile(resolve(out));
    const settings = { file: trace.lines, key: randomBytes(32).toString("hex"), startedAt: Date.now() };
    const exitCode = await runApp(command, {
      settings,
      env: io.env,
      onStart: () => trace.begin(),
      isStdoutOurs: json,
      takeSignals: io.takeSignals,
    });
    const { calls, runs, agents } = await trace.finish();
    if (json) io.stdout(`${JSON.stringify({ out, calls, runs, agents, exit_code: exitCode })}\n`);
    io.stderr(
      calls > 0
        ? `cachesage: wrote ${out}: calls ${calls}, runs ${runs}, agents ${agents}. To see whether it can gain: cachesage inspect ${/\s/.test(out) ? JSON.stringify(out) : out}\n`
        : `cachesage: no model call was seen, and ${out} is empty. Probable reasons: the app made none, or not through ` +
            "LangGraph.js; it is not run by Node.js; something on the way to it drops NODE_OPTIONS.\n",
    );
    return exitCode;
  },
});
