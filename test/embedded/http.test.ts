import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { UsageMetadata } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { createParser } from "eventsource-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EmbeddedEngine, startEmbeddedEngine } from "../../src/embedded/index.ts";
import { ask, modelFolder, named, post, startNano, system, user, words } from "./nano.ts";

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startNano({ bodyLimitBytes: 64 * 1024 });
});
afterAll(() => engine.close());

const messages = [system("You are brief."), user("Say something.")];

interface Chunk {
  readonly choices: readonly {
    readonly delta: { content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: { prompt_tokens: number; completion_tokens: number } | null;
}

async function streamed(
  fields: Readonly<Record<string, unknown>>,
): Promise<{ chunks: Chunk[]; done: boolean }> {
  const response = await post(engine, "/chat/completions", {
    messages,
    temperature: 0,
    stream: true,
    ...fields,
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const chunks: Chunk[] = [];
  let done = false;
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === "[DONE]") done = true;
      else chunks.push(JSON.parse(data) as Chunk);
    },
  });
  parser.feed(await response.text());
  return { chunks, done };
}

describe("chat completions", () => {
  test("a stream carries the same text as one answer, then how it ended, then usage where asked for", async () => {
    const whole = await ask(engine, messages, { max_tokens: 20 });
    const { chunks, done } = await streamed({ max_tokens: 20, stream_options: { include_usage: true } });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(whole.text);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("length");
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: whole.promptTokens, completion_tokens: 20 },
    });
    expect(done).toBe(true);
    expect((await streamed({ max_tokens: 2 })).chunks.every(({ usage }) => usage === undefined)).toBe(true);
  });

  test("a stop string ends the text before it, also when it spans tokens", async () => {
    const { text } = await ask(engine, messages, { max_tokens: 20 });
    for (const stop of [text.slice(9, 10), text.slice(10, 17), ["never said", text.slice(5, 12)]]) {
      const first = [stop]
        .flat()
        .map((item) => text.indexOf(item))
        .filter((index) => index >= 0)[0];
      const stopped = await ask(engine, messages, { max_tokens: 20, stop });
      expect(stopped.text).toBe(text.slice(0, first));
      expect(stopped.finish).toBe("stop");
    }
  });

  test("the length is that of max_completion_tokens, max_tokens, or the engine's default", async () => {
    expect((await ask(engine, messages, { max_tokens: 3 })).outputTokens).toBe(3);
    expect((await ask(engine, messages, { max_tokens: 3, max_completion_tokens: 4 })).outputTokens).toBe(4);
    expect((await ask(engine, messages, { max_tokens: null })).outputTokens).toBe(128);
    expect(await ask(engine, messages, { max_tokens: 0 })).toMatchObject({ text: "", outputTokens: 0 });
    const long = [system(words(1500, 1))];
    const { promptTokens, outputTokens, finish } = await ask(engine, long, { max_tokens: 5000 });
    expect(promptTokens + outputTokens).toBe(2048);
    expect(finish).toBe("length");
  });

  test("sampling follows the seed", async () => {
    const fields = { temperature: 1, max_tokens: 16 };
    const first = await ask(engine, messages, { ...fields, seed: 1 });
    expect((await ask(engine, messages, { ...fields, seed: 1 })).text).toBe(first.text);
    expect((await ask(engine, messages, { ...fields, seed: 2 })).text).not.toBe(first.text);
  });

  test("text parts, tool calls and tool results count as prompt, and tools stand right after the system text", async () => {
    const tools = [{ type: "function", function: { name: "lookup", parameters: { type: "object" } } }];
    const rich = await ask(
      engine,
      [
        {
          role: "system",
          content: [
            { type: "text", text: "You are " },
            { type: "text", text: "brief." },
          ],
        },
        user("Say something."),
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "1", type: "function", function: { name: "lookup", arguments: "{}" } }],
        } as never,
        { role: "tool", content: "nothing found", tool_call_id: "1" } as never,
      ],
      { tools, tool_choice: "auto", response_format: { type: "text" }, unknown_field: 1 },
    );
    const other = await ask(engine, [system("You are brief."), user("Another question entirely.")], {
      tools,
    });
    const plain = await ask(engine, messages);
    expect(rich.promptTokens).toBeGreaterThan(plain.promptTokens + 20);
    // Head and tools are one piece: what both share goes past the system text.
    expect(other.cachedTokens).toBeGreaterThan(20);
  });

  test("every prompt token of a request is counted once, however it is asked", async () => {
    const { chunks } = await streamed({ max_tokens: 1, stream_options: { include_usage: true } });
    const { promptTokens } = await ask(engine, messages, { max_tokens: 1 });
    expect(chunks.at(-1)?.usage?.prompt_tokens).toBe(promptTokens);
  });
});

const call = async (body: unknown, route = "/chat/completions") => {
  const response = await post(engine, route, body);
  const { error } = (await response.json()) as {
    error: { message: string; type: string; code: string; param: string | null };
  };
  return { status: response.status, ...error };
};

describe("errors have OpenAI's shape and say what is wrong", () => {
  test.each([
    ["malformed JSON", "{", 400, /not JSON/],
    ["no messages", {}, 400, /messages/],
    ["empty messages", { messages: [] }, 400, /messages is empty/],
    ["a role that does not exist", { messages: [{ role: "robot", content: "x" }] }, 400, /role/],
    ["content of another type", { messages: [{ role: "user", content: 5 }] }, 400, /content is a string/],
    ["an image", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }, 400, /content/],
    ["a negative length", { messages, max_tokens: -1 }, 400, /max_tokens/],
    ["a temperature out of range", { messages, temperature: 3 }, 400, /temperature/],
    ["more than one answer", { messages, n: 2 }, 400, /n can only be 1/],
    ["an unknown tool_choice", { messages, tool_choice: "maybe" }, 400, /tool_choice/],
    ["a tool that must be called", { messages, tool_choice: "required" }, 400, /tool_choice .* calls none/],
    ["an answer in JSON", { messages, response_format: { type: "json_object" } }, 400, /response_format/],
    ["a format of no kind", { messages, response_format: "json" }, 400, /response_format/],
    ["logprobs", { messages, logprobs: true }, 400, /logprobs/],
    ["a penalty", { messages, frequency_penalty: 1 }, 400, /frequency_penalty/],
    ["a bias", { messages, logit_bias: { 5: -100 } }, 400, /logit_bias/],
    ["spoken answers", { messages, modalities: ["text", "audio"] }, 400, /modalities/],
    ["functions of old", { messages, functions: [{ name: "f" }] }, 400, /give tools/],
    ["a constraint of vLLM's", { messages, structured_outputs: { json: {} } }, 400, /not constrained/],
    ["a bad envelope of hints", { messages, kv_hints: { actions: [] } }, 400, /protocol_version/],
    ["another model", { messages, model: "gpt" }, 404, /"gpt" does not exist/],
    ["a prompt longer than the context", { messages: [system(words(2500, 1))] }, 400, /\d{4} tokens.*2047/],
    ["a body over the limit", { messages: [user("x".repeat(70_000))] }, 413, /65536 bytes/],
  ])("%s", async (_, body, status, message) => {
    const error = await call(body);
    expect(error.status).toBe(status);
    expect(error.message).toMatch(message);
    expect(error.type).toBe("invalid_request_error");
    expect(error.code).toEqual(expect.any(String));
  });

  test("the field at fault is named", async () => {
    expect(await call({ messages, temperature: 3 })).toMatchObject({ param: "temperature" });
    expect(await call({ messages: [{ role: "robot" }] })).toMatchObject({ param: "messages[0].role" });
    expect(await call({ messages, model: "gpt" })).toMatchObject({ param: "model" });
    expect(await call("[]")).toMatchObject({ param: null });
  });

  test("values that ask for nothing are taken", async () => {
    const nothing = {
      n: 1,
      logprobs: false,
      top_logprobs: 0,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: {},
      modalities: ["text"],
      response_format: null,
      tool_choice: "none",
      functions: [],
      audio: null,
      user: "me",
      metadata: { a: "b" },
      parallel_tool_calls: true,
    };
    expect(await ask(engine, messages, { ...nothing, max_tokens: 2 })).toMatchObject({ outputTokens: 2 });
  });

  test("a route that does not exist, with those that do", async () => {
    expect(await call({}, "/embeddings")).toMatchObject({
      status: 404,
      code: "not_found",
      message: expect.stringContaining("POST /v1/chat/completions"),
    });
  });

  test("a method that a route does not take", async () => {
    const response = await fetch(`${engine.baseURL}/chat/completions`);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect(await response.json()).toMatchObject({ error: { code: "method_not_allowed" } });
  });
});

test("models, health and metrics describe the engine", async () => {
  const models = (await (await fetch(`${engine.baseURL}/models`)).json()) as { data: unknown[] };
  expect(models.data).toMatchObject([
    {
      id: "nano",
      object: "model",
      max_model_len: 2048,
      description: expect.stringContaining("the text means nothing"),
    },
  ]);
  const one = await fetch(`${engine.baseURL}/models/nano`);
  expect(await one.json()).toEqual(models.data[0]);
  expect((await fetch(`${engine.baseURL}/models/gpt`)).status).toBe(404);
  const health = await fetch(`${engine.url}/health`);
  expect(await health.json()).toMatchObject({
    status: "ok",
    engine: "embedded",
    kv_hints: "1",
    block_tokens: 16,
  });
  const metrics = await (await fetch(`${engine.url}/metrics`)).text();
  const stats = engine.stats();
  const read = (name: string) => Number(new RegExp(`^${name}\\{[^}]*\\} (.+)$`, "m").exec(metrics)?.[1]);
  expect(read("vllm:prefix_cache_queries_total")).toBe(stats.promptTokens);
  expect(read("vllm:prefix_cache_hits_total")).toBe(stats.hitTokens);
  expect(read("vllm:generation_tokens_total")).toBe(stats.outputTokens);
  expect(read("vllm:num_requests_running")).toBe(0);
  expect(read("vllm:kv_cache_usage_perc")).toBeCloseTo(stats.residentTokens / stats.capacityTokens);
  expect(read("vllm:time_to_first_token_seconds_count")).toBeGreaterThan(10);
});

const chat = (fields: object = {}) =>
  new ChatOpenAI({
    model: engine.model,
    apiKey: "embedded",
    temperature: 0,
    maxTokens: 12,
    maxRetries: 0,
    configuration: { baseURL: engine.baseURL },
    ...fields,
  });

describe("@langchain/openai", () => {
  test("invoke returns text and cached tokens", async () => {
    const prompt = [system(words(60, 4)), user("And now?")] as { role: string; content: string }[];
    const first = await chat().invoke(prompt);
    const second = await chat({ modelKwargs: named("run/R/A", "anchor/A", 0.5) }).invoke(prompt);
    expect(first.content).toMatch(/^[ -~]+$/);
    expect(second.content).toBe(first.content);
    expect(
      (second.usage_metadata as UsageMetadata | undefined)?.input_token_details?.cache_read,
    ).toBeGreaterThan(50);
    expect(second.response_metadata["finish_reason"]).toBe("length");
  });

  test("stream gives the same text in pieces, with usage", async () => {
    const prompt = [user("Tell me more.")] as { role: string; content: string }[];
    const whole = await chat().invoke(prompt);
    let text = "";
    let pieces = 0;
    let tokens = 0;
    for await (const chunk of await chat({ streamUsage: true }).stream(prompt)) {
      text += chunk.content as string;
      pieces++;
      tokens = (chunk.usage_metadata as UsageMetadata | undefined)?.output_tokens ?? tokens;
    }
    expect(text).toBe(whole.content);
    expect(pieces).toBeGreaterThan(5);
    expect(tokens).toBe(12);
  });
});

const start = (fields: object) => startEmbeddedEngine({ cacheDirectory: modelFolder, threads: 1, ...fields });

describe("starting", () => {
  test("several engines live at once, keep apart and close twice without harm", async () => {
    const [first, second] = await Promise.all([startNano(), startNano()]);
    const longer = [system(words(40, 1))];
    await ask(first, longer);
    expect(second.stats().requests).toBe(0);
    expect((await ask(second, longer)).cachedTokens).toBe(0);
    await Promise.all([first.close(), first.close()]);
    expect((await ask(second, longer)).cachedTokens).toBeGreaterThan(0);
    await second.close();
    await expect(fetch(`${first.url}/health`)).rejects.toThrow("fetch failed");
  });

  test("what cannot work is an error that says what to do", async () => {
    await expect(start({ order: "random" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(start({ colour: "red" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    await expect(start({ model: "huge" })).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
      hint: expect.stringContaining("nano, mini, bench"),
    });
    await expect(start({ model: "missing.gguf" })).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const small = { sequences: 2, contextTokens: 256 };
    await expect(start({ port, ...small })).rejects.toMatchObject({ hint: expect.stringContaining("port") });
    taken.close();
    // An address for documentation, which no machine has.
    const elsewhere = start({ host: "192.0.2.1", ...small });
    await expect(elsewhere).rejects.toThrow(/cannot listen/);
    await expect(elsewhere).rejects.toMatchObject({ hint: expect.stringContaining("host") });
  });
});
