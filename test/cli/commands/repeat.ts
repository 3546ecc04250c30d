import { z } from "zod";
import { defineCommand } from "../../../src/cli/command.ts";

export default defineCommand({
  name: "repeat",
  summary: "Print back what was given.",
  description: "Prints the checked options as JSON.",
  example: "cachesage repeat trace.jsonl --kv-tokens 64",
  arguments: ["trace", "more"],
  options: z.strictObject({
    trace: z.string().describe("File to read."),
    more: z.array(z.string()).default([]).describe("Further files."),
    kvTokens: z.number().int().min(16).default(16384).describe("Tokens of KV cache."),
    baseURL: z.string().optional().describe("Where to listen."),
    order: z.enum(["lru", "scored"]).default("scored").describe("What goes first."),
    prefixCaching: z.boolean().default(true).describe("Reuse prefixes."),
    json: z.boolean().default(false).describe("Print JSON."),
    capacity: z.array(z.number()).default([1, 2]).describe("Sizes to try."),
    model: z
      .union([z.literal("nano"), z.string()])
      .default("nano")
      .describe("Model."),
  }),
  run: async (options, io) => {
    io.stderr("working\n");
    io.stdout(`${JSON.stringify(options)}\n`);
    return 0;
  },
});
