import { once } from "node:events";
import { z } from "zod";
import { embeddedOptions } from "../embedded/options.ts";
import { defineCommand } from "./command.ts";

export default defineCommand({
  name: "serve",
  summary: "Serve the embedded engine until Ctrl-C",
  description:
    "Starts the embedded engine (llama.cpp in this process) as an OpenAI-compatible server that takes cache hints. " +
    "Prints one JSON line with url, baseURL and model when it is ready. " +
    "Preset models have random weights: their text is meaningless, their KV behaviour and prefill cost are real.",
  example: "cachesage serve --port 8080",
  options: embeddedOptions.extend({
    json: z.boolean().default(false).describe("Print the JSON line and nothing else."),
  }),
  async run({ json, ...options }, io) {
    const { startEmbeddedEngine } = await import("../embedded/index.ts");
    const engine = await startEmbeddedEngine(options);
    try {
      const { url, baseURL, model } = engine;
      if (!json) {
        io.stderr(`Serving ${model} at ${baseURL}. Ctrl-C stops.\n`);
        io.stderr("Preset models write meaningless text; their KV behaviour and prefill cost are real.\n");
      }
      io.stdout(`${JSON.stringify({ url, baseURL, model })}\n`);
      if (!io.signal.aborted) await once(io.signal, "abort");
    } finally {
      await engine.close();
    }
    return 0;
  },
});
