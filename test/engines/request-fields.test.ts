import type Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic } from "@langchain/anthropic";
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI, ChatOpenAICompletions } from "@langchain/openai";
import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { CacheSage } from "../../src/cachesage.ts";
import anthropic from "../../src/engines/anthropic.ts";
import dynamo from "../../src/engines/dynamo.ts";
import llmD from "../../src/engines/llm-d.ts";
import openai from "../../src/engines/openai.ts";
import sglang from "../../src/engines/sglang.ts";
import tensorRtLlm from "../../src/engines/tensorrt-llm.ts";
import vllm from "../../src/engines/vllm.ts";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import type { Event } from "../../src/runtime/event.ts";
import { startTrialServer } from "../../src/testing/index.ts";

// None of these servers can run here: requests are held against the vendors' own SDK types and published schemas.

const identity = { agent: "writer", run: "r1", session: "thread-1", namespace: "" };
const call = (url: string) => ({ url, identity });
const system = "You write.";

/** Plays two turns of one agent on a model. */
async function play(
  sage: CacheSage,
  model: ChatOpenAI | ChatOpenAICompletions | ChatAnthropic,
): Promise<void> {
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("writer", async ({ messages }) => ({
        messages: [await model.invoke([{ role: "system", content: system }, ...messages])],
      }))
      .addEdge("__start__", "writer")
      .compile(),
  );
  for (const content of ["one", "two"]) await graph.invoke({ messages: [{ role: "user", content }] });
  await sage.idle();
}

describe("OpenAI", () => {
  test("a ChatOpenAI sends a key for each agent and a mark at the anchor's end", async () => {
    await using server = await startTrialServer(({ path }) =>
      path === "/v1/chat/completions"
        ? {
            id: "1",
            object: "chat.completion",
            created: 1,
            model: "gpt-5.6",
            choices: [
              {
                index: 0,
                message: { role: "assistant", content: "ok", refusal: null },
                finish_reason: "stop",
                logprobs: null,
              },
            ],
            usage: {
              prompt_tokens: 2000,
              completion_tokens: 1,
              total_tokens: 2001,
              prompt_tokens_details: { cached_tokens: 1920, cache_write_tokens: 64 },
            },
          }
        : undefined,
    );
    const events: Event[] = [];
    const sage = await CacheSage.connect(`${server.url}/v1`, {
      engine: "openai",
      engineOptions: { breakpoints: true },
      cacheHints: true,
      onEvent: (event) => void events.push(event),
    });
    // ChatOpenAI itself takes the Responses API for these models from 1.6 on.
    await play(sage, new ChatOpenAICompletions({ model: "gpt-5.6", apiKey: "k", ...sage.model() }));
    await sage.close();
    const bodies = server.requests.map(({ body }) => body as OpenAI.ChatCompletionCreateParams);
    const marked: OpenAI.ChatCompletionMessageParam[] = [
      {
        // What ChatOpenAI calls it for these models.
        role: "developer",
        content: [{ type: "text", text: system, prompt_cache_breakpoint: { mode: "explicit" } }],
      },
      { role: "user", content: "one" },
    ];
    expect(bodies[0]?.messages).toEqual(marked);
    expect(bodies[0]?.prompt_cache_key).toMatch(/^cachesage-[0-9a-f]{24}$/);
    expect(bodies[1]?.prompt_cache_key).toBe(bodies[0]?.prompt_cache_key);
    expect(events.find(({ type }) => type === "request-end")).toMatchObject({
      usage: { cachedTokens: 1920, writtenTokens: 64 },
    });
    const cacheOptions: OpenAI.ChatCompletionCreateParams.PromptCacheOptions = {
      mode: "implicit",
      ttl: "30m",
    };
    expect(bodies[0]?.prompt_cache_options).toEqual(cacheOptions);
  });

  test("in the Responses API the mark is at the anchor's end as well", async () => {
    await using server = await startTrialServer(({ path }) =>
      path === "/v1/responses"
        ? {
            id: "r1",
            object: "response",
            created_at: 1,
            model: "gpt-5.6",
            status: "completed",
            output: [
              {
                type: "message",
                id: "m1",
                role: "assistant",
                status: "completed",
                content: [{ type: "output_text", text: "ok", annotations: [] }],
              },
            ],
            usage: { input_tokens: 2000, output_tokens: 1, total_tokens: 2001 },
          }
        : undefined,
    );
    const engineOptions = { breakpoints: true, mode: "explicit" };
    const sage = await CacheSage.connect(`${server.url}/v1`, {
      engine: "openai",
      engineOptions,
      cacheHints: true,
    });
    const chat = { model: "gpt-5.6", apiKey: "k", useResponsesApi: true };
    await play(sage, new ChatOpenAI({ ...chat, ...sage.model() }));
    await sage.close();
    const bodies = server.requests.map(({ body }) => body as OpenAI.Responses.ResponseCreateParams);
    expect(bodies).toHaveLength(2);
    const part: OpenAI.Responses.ResponseInputText = {
      type: "input_text",
      text: system,
      prompt_cache_breakpoint: { mode: "explicit" },
    };
    expect(bodies[0]?.input?.[0]).toMatchObject({ role: "developer", content: [part] });
    expect(JSON.stringify(bodies[0]?.input?.[1])).not.toContain("prompt_cache_breakpoint");
    expect(bodies[0]?.prompt_cache_options).toEqual({ mode: "explicit", ttl: "30m" });
  });

  test("marks of the user's own are left alone, and without a key nothing is asked or prefetched", async () => {
    const adapter = openai.create(openai.options.parse({ breakpoints: true, prefetch: true }));
    const { edit } = adapter.decorate?.(call(`${adapter.baseURL}/chat/completions`), []) ?? {};
    const own = [
      { role: "system", content: system },
      {
        role: "user",
        content: [{ type: "text", text: "a", prompt_cache_breakpoint: { mode: "explicit" } }],
      },
    ];
    expect(edit?.({ messages: own })).toBeUndefined();
    const messages = [
      { role: "system", content: system },
      { role: "user", content: "a" },
    ];
    const prompt_cache_options = { mode: "explicit" };
    expect(edit?.({ messages, prompt_cache_options })).toMatchObject({ prompt_cache_options });
    const billed = openai.create(openai.options.parse({ breakpoints: true, mode: "explicit" }));
    const { edit: anchorsAlone } = billed.decorate?.(call(`${billed.baseURL}/chat/completions`), []) ?? {};
    expect(anchorsAlone?.({ messages })).toMatchObject({
      prompt_cache_options: { mode: "explicit", ttl: "30m" },
    });
    expect(edit?.({ messages: [{ role: "user", content: "no anchor" }] })).toBeUndefined();
    expect(adapter.supports).toEqual({});
    expect(await adapter.connect()).toEqual({ engine: "openai", models: [] });
  });
});

describe("OpenAI's cache key", () => {
  test("a prefetch has the key of the request that it prepares, whichever anchor a policy names", async () => {
    await using server = await startTrialServer(() => ({ usage: null }));
    const adapter = openai.create(openai.options.parse({ url: server.url, apiKey: "k", prefetch: true }));
    const keys: unknown[] = [];
    for (const more of [{}, { anchor: "a1" }, { anchor: "a2" }]) {
      const prefix = { agent: "writer", ...more };
      const body = { messages: [{ role: "system", content: system }] };
      await adapter.apply([{ type: "prefetch", prefix, value: 1, probability: 1, tokens: 1, body }]);
      const own = adapter.decorate?.(call(`${server.url}/v1/chat/completions`), [
        { type: "retain", prefix, value: 1 },
      ]);
      const sent = server.requests.at(-1)?.body as { readonly prompt_cache_key?: unknown };
      expect(sent.prompt_cache_key).toBe(own?.fields?.["prompt_cache_key"]);
      keys.push(sent.prompt_cache_key);
    }
    expect(new Set(keys).size).toBe(3);
  });
});

describe("Anthropic", () => {
  test("a ChatAnthropic sends marks at the anchor's end and at the request's, and its cached tokens are read", async () => {
    await using server = await startTrialServer(({ path }) =>
      path === "/v1/messages"
        ? {
            id: "msg_1",
            type: "message",
            role: "assistant",
            model: "claude",
            content: [{ type: "text", text: "ok" }],
            stop_reason: "end_turn",
            stop_sequence: null,
            usage: {
              input_tokens: 10,
              output_tokens: 1,
              cache_read_input_tokens: 2048,
              cache_creation_input_tokens: 512,
            },
          }
        : undefined,
    );
    const events: Event[] = [];
    const sage = await CacheSage.connect(server.url, {
      engine: "anthropic",
      cacheHints: true,
      onEvent: (event) => void events.push(event),
    });
    const model = new ChatAnthropic({
      model: "claude-sonnet-4-5",
      apiKey: "k",
      anthropicApiUrl: server.url,
      clientOptions: { fetch: sage.fetch },
      callbacks: [sage.handler],
    });
    await play(sage, model);
    await sage.close();
    const [first] = server.requests.map(({ body }) => body as Anthropic.MessageCreateParams);
    const anchor: Anthropic.TextBlockParam[] = [
      { type: "text", text: system, cache_control: { type: "ephemeral", ttl: "5m" } },
    ];
    const end: Anthropic.CacheControlEphemeral = { type: "ephemeral" };
    expect(first).toMatchObject({ system: anchor, cache_control: end });
    expect(events.find(({ type }) => type === "request-end")).toMatchObject({
      usage: { cachedTokens: 2048, writtenTokens: 512 },
    });
  });

  test("a prefetch ends with what the user said: newer models refuse to go on with an answer", async () => {
    await using server = await startTrialServer(() => ({ usage: { cache_creation_input_tokens: 12 } }));
    const adapter = anthropic.create(
      anthropic.options.parse({ url: server.url, apiKey: "k", prefetch: true }),
    );
    const prefetch = async (...roles: readonly string[]) => {
      const body = { model: "m", system, messages: roles.map((role) => ({ role, content: role })) };
      const prefix = { agent: "writer", run: "r" };
      return (
        await adapter.apply([{ type: "prefetch", prefix, value: 1, probability: 1, tokens: 1, body }])
      )[0];
    };
    expect(await prefetch("user", "assistant", "user", "assistant", "assistant")).toEqual({
      status: "applied",
      tokens: 12,
    });
    expect(server.requests[0]?.body).toMatchObject({
      max_tokens: 0,
      system: [{ text: system, cache_control: { type: "ephemeral", ttl: "5m" } }],
      messages: [{ role: "user" }, { role: "assistant" }, { role: "user" }],
    });
    expect(await prefetch("assistant")).toMatchObject({ status: "ignored" });
    expect(server.requests).toHaveLength(1);
  });

  test("an anchor that lies unused for more than five minutes is kept for an hour", () => {
    const adapter = anthropic.create(anthropic.options.parse({}));
    const url = `${adapter.baseURL}/messages`;
    const lifetimeAfter = (gapMs: number): unknown => {
      let at = 0;
      const fresh = anthropic.create(anthropic.options.parse({}));
      for (const request of ["q1", "q2"]) {
        const prompt = { anchor: { hash: "a", length: 1 }, history: [] };
        fresh.observe?.({ type: "request-start", at, ...identity, request, prompt });
        fresh.observe?.({ type: "request-end", at, ...identity, request, status: "completed" });
        at += gapMs;
      }
      const body = fresh.decorate?.(call(url), []).edit?.({ system, messages: [] });
      const [anchor] = (body?.["system"] ?? []) as Anthropic.TextBlockParam[];
      return anchor?.cache_control?.ttl;
    };
    expect([60_000, 600_000, 7_200_000].map(lifetimeAfter)).toEqual(["5m", "1h", "5m"]);
    const { edit } = adapter.decorate?.(call(url), []) ?? {};
    expect(edit?.({ tools: [{ name: "a" }, { name: "b" }], messages: [] })?.["tools"]).toEqual([
      { name: "a" },
      { name: "b", cache_control: { type: "ephemeral", ttl: "5m" } },
    ]);
    const own = { system: [{ type: "text", text: "a", cache_control: { type: "ephemeral" } }], messages: [] };
    expect(edit?.(own)).toBeUndefined();
  });
});

describe("a call's priority, in [0, 1], becomes the engine's own", () => {
  const fieldsOf = ({ options, create }: (typeof own)[number][1], given: object, priority?: number) => {
    const adapter = create(options.parse(given) as never);
    return adapter.decorate?.({ ...call("x"), ...(priority !== undefined && { priority }) }, []).fields;
  };
  const own = [
    [
      "vllm, lower first",
      vllm,
      (value: unknown) => ({ session_id: "thread-1", ...has(value) }),
      [500, 200, undefined, -500],
    ],
    ["tensorrt-llm, as it is", tensorRtLlm, (value: unknown) => has(value), [0, 0.3, 0.5, 1]],
    ["sglang, higher first", sglang, (value: unknown) => has(value), [-500, -200, 0, 500]],
    [
      "dynamo, higher first",
      dynamo,
      (value: unknown) => ({ nvext: { agent_hints: has(value) } }),
      [-500, -200, 0, 500],
    ],
  ] as const;
  test.each(own)("%s, and only where it is switched on", (_, definition, within, values) => {
    for (const [place, priority] of [0, 0.3, 0.5, 1].entries())
      expect(fieldsOf(definition, { priority: true }, priority)).toEqual(within(values[place]));
    expect(definition.create(definition.options.parse({ priority: true }) as never).supports).toMatchObject({
      priority: "native",
    });
    expect(JSON.stringify(fieldsOf(definition, {}, 1) ?? {})).not.toContain("priority");
    expect(definition.create(definition.options.parse({}) as never).supports).not.toHaveProperty("priority");
  });
});

function has(value: unknown): object {
  return value === undefined ? {} : { priority: value };
}

describe("SGLang", () => {
  test("a value becomes a priority, the higher of prompt and anchor, and only where it is switched on", () => {
    const decisions = [
      { type: "retain", prefix: { agent: "writer", run: "r1" }, value: 0.314 },
      { type: "retain", prefix: { agent: "writer" }, value: 0.9 },
      { type: "retain", prefix: { agent: "other" }, value: 1 },
    ] as const;
    const on = sglang.create(sglang.options.parse({ priority: true, sessions: true }));
    expect(on.decorate?.(call("x"), decisions).fields).toEqual({ priority: 90, session_id: "thread-1" });
    expect(on.supports).toMatchObject({ retain: "native", release: "native" });
    const off = sglang.create(sglang.options.parse({}));
    expect(off.decorate?.(call("x"), decisions).fields).toEqual({});
    expect(off.supports).toEqual({ prefetch: "emulated", cancel: "emulated" });
  });

  test("a run's session is closed once, at its end, unless its thread may go on", async () => {
    await using server = await startTrialServer(({ path }) => (path === "/close_session" ? "" : undefined));
    const adapter = sglang.create(sglang.options.parse({ url: server.url, sessions: true }));
    const release = (run: string) => adapter.apply([{ type: "release", prefix: { agent: "writer", run } }]);
    expect(await release("r1")).toMatchObject([{ status: "ignored" }]);
    adapter.observe?.({ type: "run-end", at: 0, run: "r1", status: "completed" });
    adapter.observe?.({ type: "run-end", at: 0, run: "r2", session: "thread-1", status: "completed" });
    expect(await release("r1")).toMatchObject([{ status: "applied" }]);
    expect(await release("r1")).toMatchObject([{ status: "ignored" }]);
    expect(await release("r2")).toMatchObject([{ status: "ignored" }]);
    expect(server.requests.map(({ path, body }) => [path, body])).toEqual([
      ["/close_session", { session_id: "r1" }],
    ]);
  });
});

describe("TensorRT-LLM", () => {
  test("pulled events become stored and removed blocks", async () => {
    const pages = [
      [
        { event_id: 0, data: { type: "created", num_blocks_per_cache_level: [8, 0] } },
        {
          event_id: 1,
          data: {
            type: "stored",
            parent_hash: null,
            blocks: [
              { block_hash: 11, tokens: [{ token_id: 1 }, { token_id: 2 }], cache_level: 0, priority: 35 },
              { block_hash: 12, tokens: [{ token_id: 3 }, { token_id: 4 }], cache_level: 1, priority: 35 },
            ],
          },
        },
      ],
      [{ event_id: 2, data: { type: "removed", block_hashes: [12] } }],
    ];
    await using server = await startTrialServer(({ path }) =>
      path === "/kv_cache_events" ? (pages.shift() ?? []) : undefined,
    );
    const adapter = tensorRtLlm.create(tensorRtLlm.options.parse({ url: server.url, pullEventsMs: 10 }));
    const controller = new AbortController();
    const events: CacheEvent[] = [];
    for await (const event of adapter.events?.(controller.signal) ?? []) {
      events.push(event);
      if (event.type === "block-removed") controller.abort();
    }
    expect(events).toMatchObject([
      { type: "block-stored", blocks: ["11"], tokens: [1, 2], blockTokens: 2, medium: "GPU" },
      { type: "block-stored", blocks: ["12"], parent: "11", tokens: [3, 4], medium: "CPU" },
      { type: "block-removed", blocks: ["12"] },
    ]);
  });

  test("the conversation travels in a header, so that nothing unknown is in the body", () => {
    const adapter = tensorRtLlm.create(tensorRtLlm.options.parse({}));
    expect(adapter.decorate?.(call("x"), [])).toEqual({
      fields: {},
      headers: { "x-session-id": "thread-1" },
    });
  });
});

describe("llm-d", () => {
  test("a session's token is echoed, and each session has its own", () => {
    const adapter = llmD.create(llmD.options.parse({ objective: "agents" }));
    const other = { url: "x", identity: { ...identity, session: "thread-2" } };
    adapter.answered?.(call("x"), new Headers({ "x-session-token": "pod-7" }));
    expect(adapter.decorate?.(call("x"), []).headers).toEqual({
      "x-session-id": "thread-1",
      "x-session-token": "pod-7",
      "x-llm-d-inference-objective": "agents",
      "x-llm-d-inference-fairness-id": "thread-1",
    });
    expect(adapter.decorate?.(other, []).headers).not.toHaveProperty("x-session-token");
    expect(adapter.supports).toEqual({});
  });
});
