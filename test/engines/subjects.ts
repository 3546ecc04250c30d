import type { z } from "zod";
import anthropic from "../../src/engines/anthropic.ts";
import dynamo from "../../src/engines/dynamo.ts";
import embedded from "../../src/engines/embedded.ts";
import llamaServer from "../../src/engines/llama-server.ts";
import llmD from "../../src/engines/llm-d.ts";
import openai from "../../src/engines/openai.ts";
import sglang from "../../src/engines/sglang.ts";
import tensorRtLlm from "../../src/engines/tensorrt-llm.ts";
import vllm from "../../src/engines/vllm.ts";
import type { EngineDefinition } from "../../src/runtime/engine.ts";
import {
  type Answer,
  type EngineSubject,
  type HealthyServer,
  startTrialServer,
} from "../../src/testing/index.ts";
import { startNano, system, user, words } from "../embedded/nano.ts";
import { noDynamo, startDynamo } from "./real/dynamo.ts";
import { noLlamaServer, startLlamaServer } from "./real/llama-server.ts";
import { noVllm, startVllm } from "./real/vllm.ts";

export interface NamedSubject extends EngineSubject {
  readonly name: string;
  /** Why it cannot be tried here. */
  readonly missing?: string | undefined;
}

const body = { model: "tiny", messages: [system(words(120, 1)), user("What now?")] };

/** Fields of a request as the strict servers declare them, as far as anything here may send them. */
const commonFields = [
  "model",
  "messages",
  "tools",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "stream",
];

function create<Schema extends z.ZodType>(definition: EngineDefinition<Schema>, options: object = {}) {
  return (url: string) => definition.create(definition.options.parse({ url, ...options }));
}

function answering(answer: Answer): () => Promise<HealthyServer> {
  return () => startTrialServer(answer);
}

/** A server that many trials share, started by the first and stopped by `stopShared`. */
const shared: (() => Promise<void>)[] = [];
function sharing(start: () => Promise<HealthyServer>): () => Promise<HealthyServer> {
  let server: Promise<HealthyServer> | undefined;
  return async () => {
    server ??= start().then((running) => {
      shared.push(async () => running[Symbol.asyncDispose]());
      return running;
    });
    const { url } = await server;
    return { url, [Symbol.asyncDispose]: async () => {} };
  };
}

export async function stopShared(): Promise<void> {
  for (const stop of shared.splice(0)) await stop();
}

const models = { object: "list", data: [{ id: "tiny", object: "model" }] };
const completion = {
  id: "1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "a" }, finish_reason: "length" }],
  usage: { prompt_tokens: 120, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 16 } },
};

/** Servers that answer as published schemas and recordings have it: not the real ones, and marked so. */
export const byFixture: readonly NamedSubject[] = [
  {
    name: "vllm",
    create: create(vllm, { priority: true, kvHints: true, cacheSalt: "s" }),
    body,
    serve: answering(({ path }) => {
      if (path === "/version") return { version: "0.32.0" };
      if (path === "/v1/models") return { data: [{ id: "tiny", owned_by: "vllm" }] };
      if (path === "/v1/chat/completions") return completion;
      return undefined;
    }),
  },
  {
    name: "dynamo",
    create: create(dynamo, { speculativePrefill: true, cacheSalt: "s" }),
    body,
    knownFields: [...commonFields, "nvext"],
    serve: answering(({ path }) => {
      if (path === "/health") return { status: "healthy", endpoints: [], instances: [] };
      if (path === "/v1/models") return models;
      return path === "/v1/chat/completions" ? completion : undefined;
    }),
  },
  {
    name: "sglang",
    create: create(sglang, { priority: true, sessions: true, cacheSalt: "s" }),
    body,
    serve: answering(({ path }) => {
      if (path === "/get_server_info") return { version: "0.5.23", page_size: 1 };
      if (path === "/v1/models") return { data: [{ id: "tiny", owned_by: "sglang" }] };
      if (path === "/v1/chat/completions") return completion;
      return path === "/close_session" ? "" : undefined;
    }),
  },
  {
    name: "tensorrt-llm",
    create: create(tensorRtLlm, { priority: true, cacheSalt: "s" }),
    body,
    knownFields: [...commonFields, "priority", "cache_salt", "conversation_params"],
    serve: answering(({ path }) => {
      if (path === "/version") return { version: "1.3.0" };
      if (path === "/v1/models") return models;
      return path === "/v1/chat/completions" ? completion : undefined;
    }),
  },
  {
    name: "llm-d",
    create: create(llmD, { objective: "agents", prefetchObjective: "background" }),
    body,
    knownFields: commonFields,
    serve: answering(({ path }) => {
      if (path === "/v1/models") return models;
      return path === "/v1/chat/completions" ? completion : undefined;
    }),
  },
  {
    name: "openai",
    create: create(openai, { apiKey: "key", prefetch: true, breakpoints: true }),
    body,
    knownFields: [...commonFields, "prompt_cache_key", "prompt_cache_options"],
    serve: answering(({ path, headers }) => {
      if (headers["authorization"] !== "Bearer key") return undefined;
      if (path === "/v1/models") return models;
      return path === "/v1/chat/completions" ? completion : undefined;
    }),
  },
  {
    name: "anthropic",
    create: create(anthropic, { apiKey: "key", prefetch: true }),
    body: { model: "tiny", system: words(120, 1), messages: [user("What now?")] },
    knownFields: [...commonFields, "system", "cache_control"],
    serve: answering(({ path, headers }) => {
      if (headers["x-api-key"] !== "key" || headers["anthropic-version"] === undefined) return undefined;
      if (path === "/v1/models") return models;
      if (path !== "/v1/messages") return undefined;
      return {
        type: "message",
        usage: { input_tokens: 3, cache_creation_input_tokens: 120, output_tokens: 0 },
      };
    }),
  },
  {
    name: "llama-server",
    create: create(llamaServer),
    body,
    serve: answering(({ path, body: sent }) => {
      if (path === "/props") return { total_slots: 4, build_info: "b11669-Debian" };
      if (path === "/v1/models") return models;
      if (path === "/apply-template") return { prompt: "text" };
      if (path === "/tokenize") return { tokens: [1, 2, 3] };
      if (path === "/completion") return { timings: { prompt_n: 3, cache_n: 0, prompt_ms: 1.5 } };
      const isErase = path.endsWith("?action=erase");
      return isErase || (sent as { filename?: string } | undefined)?.filename ? { n_erased: 1 } : undefined;
    }),
  },
];

/** The real servers that run on this machine. */
export const real: readonly NamedSubject[] = [
  {
    name: "embedded",
    create: create(embedded),
    body,
    knownFields: [...commonFields, "kv_hints"],
    serve: sharing(async () => {
      const engine = await startNano();
      return { url: engine.url, [Symbol.asyncDispose]: () => engine.close() };
    }),
  },
  {
    name: "llama-server",
    missing: noLlamaServer,
    create: create(llamaServer),
    body,
    serve: sharing(startLlamaServer),
  },
  {
    name: "dynamo",
    missing: noDynamo,
    create: create(dynamo, { speculativePrefill: true, cacheSalt: "s" }),
    body,
    serve: sharing(startDynamo),
  },
  {
    name: "vllm",
    missing: noVllm,
    create: create(vllm, { priority: true, kvHints: true, cacheSalt: "s" }),
    body,
    serve: sharing(startVllm),
  },
];
