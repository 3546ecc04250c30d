import { z } from "zod";
import { defineCommand } from "./command.ts";
import { readJsonObject } from "./json-object.ts";

const options = z.strictObject({
  engine: z.string().min(1).describe("Name of the engine that runs there; see: cachesage engines."),
  url: z.url().describe("Its base URL."),
  apiKey: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Key, when it wants one; default: the variable OPENAI_API_KEY, for anthropic ANTHROPIC_API_KEY.",
    ),
  options: z
    .string()
    .default("{}")
    .describe("Options of the adapter as a JSON object; see: cachesage engines NAME."),
  model: z.string().optional().describe("Model to ask; default: the first that the server lists."),
  json: z.boolean().default(false).describe("Print one JSON object instead of the table."),
});

export default defineCommand({
  name: "doctor",
  summary: "Ask a running engine what it does with cache hints",
  description:
    "Asks a server what it is and can do, tries each hint on prompts of its own with requests for one token, and measures one cold " +
    "and one warm prompt. Prints for each verb: works, ignored, rejected, or which flag it needs.",
  example: "cachesage doctor --engine llama-server --url http://127.0.0.1:8080",
  options,
  async run({ engine, url, apiKey, options: more, model, json }, io) {
    const { engines } = await import("../engine-registry.ts");
    const { parseOptions } = await import("../options.ts");
    const { examine } = await import("../doctor/examine.ts");
    const { EngineHttp } = await import("../wire/engine-http.ts");
    const definition = await engines.load(engine);
    // A variable that is set to nothing is none.
    const key = apiKey ?? (io.env[definition.keyVariable ?? "OPENAI_API_KEY"] || undefined);
    const given = {
      ...readJsonObject("doctor", "--options", more),
      url,
      ...(key !== undefined && { apiKey: key }),
    };
    const adapter = definition.create(parseOptions(`engine ${engine}`, definition.options, given));
    try {
      const http = new EngineHttp({ engine, url, apiKey: key });
      const diagnosis = await examine({ definition, adapter, http, model, signal: io.signal });
      if (json) {
        io.stdout(`${JSON.stringify(diagnosis)}\n`);
      } else {
        const { diagnosisReport } = await import("../doctor/report.ts");
        io.stdout(`${diagnosisReport(diagnosis)}\n`);
      }
    } finally {
      await adapter.close();
    }
    return 0;
  },
});
