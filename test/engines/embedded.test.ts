import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { EmbeddedEngine } from "../../src/embedded/index.ts";
import definition, { type EmbeddedAdapter } from "../../src/engines/embedded.ts";
import type { Hint } from "../../src/runtime/action.ts";
import { ask, modelFolder, startNano, system, user, words } from "../embedded/nano.ts";

const messages = [system(words(150, 1)), user("What now?")];
const prefix = { agent: "writer", run: "r1" };
const prefetch: Hint = {
  type: "prefetch",
  prefix,
  value: 0.5,
  probability: 0.5,
  tokens: 200,
  body: { messages },
};
const call = (url: string) => ({ url, identity: { ...prefix, namespace: "" } });

const fieldsOf = (one: EmbeddedAdapter, priority: number) =>
  one.decorate?.({ ...call("x"), priority }, []).fields ?? {};

function create(options: object = {}): EmbeddedAdapter {
  return definition.create(definition.options.parse(options)) as EmbeddedAdapter;
}

// An engine of this process is known by its address: under another name of the machine it is one of any process.
describe.each([
  ["in this process", "127.0.0.1"],
  ["over HTTP", "localhost"],
])("with a running engine, %s", (way, host) => {
  let engine: EmbeddedEngine;
  let adapter: EmbeddedAdapter;
  beforeAll(async () => {
    engine = await startNano();
    adapter = create({ url: engine.baseURL.replace("127.0.0.1", host) });
    await adapter.connect();
  });
  afterAll(async () => {
    await adapter.close();
    await engine.close();
  });
  beforeEach(() => engine.reset());

  test("connect tells what runs there, with or without /v1 in the url", async () => {
    for (const url of [engine.url, `${engine.url}/`, engine.baseURL]) {
      const other = create({ url });
      expect(await other.connect()).toEqual({ engine: "embedded", models: ["nano"], blockTokens: 16 });
      expect(other.baseURL).toBe(engine.baseURL);
      expect(other.engine).toBeUndefined();
    }
  });

  test("hints go by HTTP only where they have to, and are counted either way", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    onTestFinished(() => fetched.mockRestore());
    expect(await adapter.apply([{ type: "retain", prefix, value: 0.5 }])).toEqual([{ status: "applied" }]);
    expect(fetched).toHaveBeenCalledTimes(way === "over HTTP" ? 1 : 0);
    const metrics = await (await fetch(`${engine.url}/metrics`)).text();
    expect(metrics).toMatch(/^cachesage_engine_hints_total\{.*verb="kv\.retain".*\} 1$/m);
  });

  test("hints map to outcomes one to one, in order", async () => {
    const outcomes = await adapter.apply([
      { type: "retain", prefix, value: 0.5, ttlMs: 1000 },
      prefetch,
      { type: "pin", prefix: { agent: "writer", run: "other" } },
      { type: "evict", prefix },
      { type: "release", prefix: { agent: "nobody" } },
      { type: "cancel", prefix },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "applied",
      "applied",
      "rejected",
      "applied",
      "ignored",
      "ignored",
    ]);
    expect(outcomes[1]?.tokens).toBeGreaterThan(100);
    expect(await adapter.apply([])).toEqual([]);
  });

  test("what a prefetch brings serves the request, and the decoration names its owner", async () => {
    await adapter.apply([prefetch]);
    const retain: Hint = { type: "retain", prefix, value: 0.7 };
    const { fields } = adapter.decorate?.(call(`${engine.baseURL}/chat/completions`), [retain]) ?? {};
    const answer = await ask(engine, messages, fields);
    expect(answer.cachedTokens).toBe(answer.promptTokens - 1);
    expect(engine.stats().prefetch.used).toBe(answer.cachedTokens);
    const [released, evicted] = await adapter.apply([
      { type: "release", prefix: { agent: "writer" } },
      { type: "evict", prefix },
    ]);
    expect(released?.status).toBe("applied");
    expect(evicted?.tokens).toBeGreaterThan(150);
    expect(engine.stats().residentTokens).toBe(0);
  });

  test("decorate is pure and carries the latest value of prefix and anchor", () => {
    const decisions: Hint[] = [
      { type: "retain", prefix, value: 0.1 },
      { type: "retain", prefix: { agent: "writer" }, value: 0.9 },
      { type: "retain", prefix: { agent: "other" }, value: 1 },
      { type: "retain", prefix, value: 0.2, ttlMs: 50 },
    ];
    const frozen = structuredClone(decisions);
    const first = adapter.decorate?.(call("x"), decisions);
    expect(adapter.decorate?.(call("x"), decisions)).toEqual(first);
    expect(decisions).toEqual(frozen);
    expect(first).toMatchObject({
      fields: {
        kv_hints: {
          protocol_version: "1",
          actions: [
            {
              action_type: "kv.retain",
              payload: {
                prefix: "run/r1/writer",
                value: 0.2,
                ttl_ms: 50,
                anchor: "anchor/writer",
                anchor_value: 0.9,
              },
            },
          ],
        },
      },
    });
  });

  test("a priority reaches an engine that serves by it, as the engine says itself, and no other", async () => {
    const other = await startNano({ schedulingPolicy: "priority" });
    const byPriority = create({ url: other.baseURL });
    expect(byPriority.supports).not.toHaveProperty("priority");
    await byPriority.connect();
    expect(byPriority.supports).toMatchObject({ priority: "native", retain: "native" });
    expect(adapter.supports).not.toHaveProperty("priority");
    expect(fieldsOf(byPriority, 0.9)).toMatchObject({ priority: -400, kv_hints: {} });
    expect(fieldsOf(byPriority, 0.5)).not.toHaveProperty("priority");
    expect(fieldsOf(adapter, 0.9)).not.toHaveProperty("priority");
    expect((await ask(other, messages, fieldsOf(byPriority, 0.1))).outputTokens).toBeGreaterThan(0);
    await byPriority.close();
    await other.close();
  });

  test("aborting cancels a prefetch that waits", async () => {
    const busy = ask(engine, [user("Go on.")], { max_tokens: 60 });
    await expect.poll(() => engine.stats().running, { interval: 1 }).toBe(1);
    const controller = new AbortController();
    const pending = adapter.apply([prefetch], controller.signal);
    controller.abort();
    expect(await pending).toMatchObject([{ status: "cancelled" }]);
    await busy;
    await engine.settle();
    expect(engine.stats().prefetch.computed).toBe(0);
  });
});

describe("without a url", () => {
  test("an engine starts on connect, takes hints in this process and stops on close", async () => {
    const adapter = create({ cacheDirectory: modelFolder, threads: 1, sequences: 4, contextTokens: 1024 });
    expect(() => adapter.baseURL).toThrow("no address yet");
    expect(await adapter.apply([prefetch])).toMatchObject([{ status: "failed" }]);
    expect(await adapter.connect()).toEqual({ engine: "embedded", models: ["nano"], blockTokens: 16 });
    expect(adapter.baseURL).toBe(adapter.engine?.baseURL);
    expect(await adapter.apply([prefetch])).toMatchObject([{ status: "applied" }]);
    expect(adapter.engine?.stats().prefetch.computed).toBeGreaterThan(100);
    await Promise.all([adapter.close(), adapter.close()]);
    expect(await adapter.apply([prefetch])).toMatchObject([{ status: "cancelled" }]);
    await expect(fetch(`${adapter.baseURL}/models`)).rejects.toThrow("fetch failed");
  });
});

describe("when something else is there", () => {
  let server: Server;
  const serve = async (listener: RequestListener): Promise<EmbeddedAdapter> => {
    server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    return create({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` });
  };
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };

  test.each([
    ["a web page", 200, "<html></html>", "ENGINE_RESPONSE", /answered no JSON, got text\/html/],
    ["a locked door", 401, "", "ENGINE_RESPONSE", /status 401/],
    ["another path", 404, "", "ENGINE_RESPONSE", /status 404/],
    ["another engine", 200, "{}", "ENGINE_UNSUPPORTED", /not an embedded engine/],
  ])("%s is an error that says so", async (_, status, body, code, message) => {
    const adapter = await serve((_request, response) => {
      response.writeHead(status, { "content-type": "text/html" }).end(body);
    });
    const error = await adapter.connect().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, engine: "embedded", hint: expect.any(String) });
    expect((error as Error).message).toMatch(message);
    const [outcome] = await adapter.apply([prefetch]);
    expect(outcome?.status).toBe("failed");
    await stop();
  });

  test("a vLLM server, whose /health is empty, is told to be another engine", async () => {
    const adapter = await serve((_request, response) => void response.end());
    await expect(adapter.connect()).rejects.toMatchObject({ hint: expect.stringContaining("name the one") });
    await stop();
  });

  test("nothing at all is unreachable, and hints fail without a throw", async () => {
    const adapter = await serve(() => {});
    await stop();
    await expect(adapter.connect()).rejects.toMatchObject({
      code: "ENGINE_UNREACHABLE",
      hint: expect.stringContaining("cachesage serve"),
    });
    expect(await adapter.apply([prefetch, { type: "release", prefix }])).toMatchObject([
      { status: "failed", reason: expect.stringContaining("nothing answers") },
      { status: "failed" },
    ]);
    await adapter.close();
    await adapter.close();
  });

  test("a server that never answers ends with the caller's signal", async () => {
    const adapter = await serve(() => {});
    const signal = AbortSignal.timeout(50);
    await expect(adapter.connect(signal)).rejects.toThrow("timeout");
    expect(await adapter.apply([prefetch], AbortSignal.timeout(50))).toMatchObject([{ status: "cancelled" }]);
    await stop();
  });
});
