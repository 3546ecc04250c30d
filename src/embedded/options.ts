import { availableParallelism } from "node:os";
import envPaths from "env-paths";
import { z } from "zod";

/** Options of the embedded engine; the command line makes its flags from them. */
export const embeddedOptions = z.strictObject({
  model: z
    .string()
    .min(1)
    .default("nano")
    .describe("Preset with random weights (pico, micro, nano, mini, bench) or path of a GGUF file"),
  host: z.string().min(1).default("127.0.0.1").describe("Address to listen on"),
  port: z.int().min(0).max(65535).default(0).describe("Port to listen on; 0 takes any free one"),
  kvTokens: z
    .int()
    .min(64)
    .default(16384)
    .describe("KV budget in tokens; prefixes that requests share count once"),
  prefixCaching: z
    .boolean()
    .default(true)
    .describe("Reuse of KV between requests; without it every request starts empty"),
  order: z
    .enum(["lru", "scored"])
    .default("scored")
    .describe(
      "What goes first over budget: the oldest use, or the lowest hinted value and then the oldest use",
    ),
  hostBytes: z
    .int()
    .min(0)
    .default(0)
    .describe(
      "Bytes of temporary files for prompts that the KV budget pushed out, read back on a hit; 0 keeps none. On a tiny model it hides misses",
    ),
  sequences: z.int().min(1).max(256).default(64).describe("Distinct prompts the cache can hold at once"),
  contextTokens: z.int().min(256).max(131072).default(4096).describe("Longest prompt plus answer, in tokens"),
  threads: z
    .int()
    .min(1)
    .default(() => Math.max(1, availableParallelism() - 1))
    .describe("CPU threads of llama.cpp; all cores but one unless set"),
  chunkTokens: z.int().min(16).max(2048).default(256).describe("Most tokens computed in one step"),
  maxRunning: z.int().min(1).max(256).default(16).describe("Requests computed at once; others wait in order"),
  schedulingPolicy: z
    .enum(["fcfs", "priority"])
    .default("fcfs")
    .describe(
      "Which requests go first: those that came first, or those of lower priority number, before which others pause and give way",
    ),
  answerTokens: z
    .int()
    .min(1)
    .default(128)
    .describe("Length of an answer in tokens when the request sets no max_tokens"),
  bodyLimitBytes: z
    .int()
    .min(1024)
    .default(8 * 1024 * 1024)
    .describe("Largest request body in bytes"),
  cacheDirectory: z
    .string()
    .min(1)
    .default(() => envPaths("cachesage", { suffix: "" }).cache)
    .describe("Folder for the models that the engine writes; the user's cache folder unless set"),
  seed: z
    .int()
    .min(0)
    .max(0xffffffff)
    .default(1)
    .describe("Seed of preset weights, and of sampling when a request has none"),
});

/** Options of the embedded engine, with their defaults filled in. */
export type EmbeddedOptions = z.output<typeof embeddedOptions>;
/** What `startEmbeddedEngine` takes: every option may be left out. */
export type EmbeddedOptionsInput = z.input<typeof embeddedOptions>;
