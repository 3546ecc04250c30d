import { MemorySaver, MessagesAnnotation, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { afterEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { CacheSage } from "../../src/cachesage.ts";
import { createEngine } from "../../src/engine-registry.ts";
import { type Answer, startTrialServer } from "../../src/testing/index.ts";
import { EngineHttp } from "../../src/wire/engine-http.ts";
import { SavedSlots } from "../../src/wire/saved-slots.ts";
import { listening } from "./silent-at.ts";

const models = (owner: string) => ({ data: [{ id: "org/tiny", owned_by: owner }] });
const pages: Readonly<Record<string, Answer>> = {
  vllm: ({ path }) => (path === "/v1/models" ? models("vllm") : undefined),
  sglang: ({ path }) => (path === "/v1/models" ? models("sglang") : undefined),
  "tensorrt-llm": ({ path }) => (path === "/v1/models" ? models("tensorrt_llm") : undefined),
  "llama-server": ({ path }) =>
    path === "/v1/models" ? models("llamacpp") : path === "/props" ? { total_slots: 2 } : undefined,
};

afterEach(() => void vi.restoreAllMocks());

test.each([
  ["vllm", "/version"],
  ["vllm", "/metrics"],
  ["sglang", "/server_info"],
  ["tensorrt-llm", "/version"],
  ["llama-server", "/slots/0?action=save"],
])("%s connects also where %s is never answered", async (name, path) => {
  const clocks: AbortController[] = [];
  vi.spyOn(AbortSignal, "timeout").mockImplementation(() => {
    clocks.push(new AbortController());
    return (clocks.at(-1) as AbortController).signal;
  });
  // The latest time that was set is over at once.
  await using server = await listening(pages[name] as Answer, path, () => clocks.at(-1)?.abort());
  const adapter = await createEngine(name, [server.url], {});
  expect(await adapter.connect()).toMatchObject({ engine: name, models: ["org/tiny"] });
  await adapter.close();
});

test("an engine that says that it is another one is not taken for it", async () => {
  for (const [owner, page] of Object.entries(pages)) {
    await using server = await startTrialServer((request) =>
      /version|info/.test(request.path) ? { version: "1" } : page(request),
    );
    for (const name of ["vllm", "sglang", "tensorrt-llm"]) {
      const adapter = await createEngine(name, [server.url], {});
      const said = await adapter.connect().then(({ version }) => version, String);
      expect(said).toMatch(name === owner ? /^1$/ : new RegExp(`says that it is ${owner}\nName the engine`));
    }
  }
});

/** One turn of one agent, which looks something up first. */
async function play(url: string, name: string, thread: string, faults: string[]): Promise<void> {
  const sage = await CacheSage.connect(`${url}/v1`, {
    engine: name,
    cacheHints: true,
    onFault: (where, error) => void faults.push(`${where}: ${String(error)}`),
  });
  const model = new ChatOpenAI({ model: "org/tiny", apiKey: "k", ...sage.model() });
  const embeddings = new OpenAIEmbeddings({
    model: "org/tiny",
    apiKey: "k",
    configuration: { baseURL: `${url}/v1`, fetch: sage.fetch },
  });
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("writer", async ({ messages }) => {
        await embeddings.embedQuery("what was said before");
        return { messages: [await model.invoke([{ role: "system", content: "You write." }, ...messages])] };
      })
      .addEdge("__start__", "writer")
      .compile({ checkpointer: new MemorySaver() }),
  );
  await graph.invoke(
    { messages: [{ role: "user", content: "one" }] },
    { configurable: { thread_id: thread } },
  );
  await sage.idle();
  await sage.close();
}

describe("a LangGraph.js app", () => {
  const completion = {
    id: "1",
    object: "chat.completion",
    created: 1,
    model: "org/tiny",
    choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 20, completion_tokens: 1, total_tokens: 21 },
  };
  const engine: Answer = ({ path }) => {
    if (path === "/v1/models") return models("vllm");
    if (path === "/health") return { status: "healthy", instances: [] };
    if (path === "/v1/embeddings") return { data: [{ index: 0, embedding: [0.5, 0.5] }] };
    return path === "/v1/chat/completions" ? completion : undefined;
  };

  test.each([
    ["vllm", "x-session-id"],
    ["tensorrt-llm", "x-session-id"],
    ["dynamo", "x-dynamo-session-id"],
    ["llm-d", "x-llm-d-inference-fairness-id"],
  ])("%s: a thread may be called anything, and its hints are sent", async (name, header) => {
    const owner = name === "tensorrt-llm" ? "tensorrt_llm" : name;
    for (const thread of ["\u65e5\u672c", "two\nlines", "x".repeat(1000), "plain thread"]) {
      await using server = await startTrialServer((request) =>
        request.path === "/v1/models" ? models(owner) : engine(request),
      );
      const faults: string[] = [];
      await play(server.url, name, thread, faults);
      expect(faults).toEqual([]);
      const sent = server.requests.find(({ path }) => path === "/v1/chat/completions")?.headers[header];
      expect(sent).toMatch(thread === "plain thread" ? /^plain thread$/ : /^[0-9a-f]{64}$/);
    }
  });

  test("embeddings are no prompt of an agent: nothing is added to them, and nothing is told of them", async () => {
    await using server = await startTrialServer(engine);
    const faults: string[] = [];
    await play(server.url, "vllm", "t", faults);
    expect(faults).toEqual([]);
    const embedded = server.requests.find(({ path }) => path === "/v1/embeddings");
    expect(Object.keys(embedded?.body ?? {})).not.toContain("session_id");
    expect(embedded?.headers["x-session-id"]).toBe(undefined);
  });
});

describe("SGLang", () => {
  const decide = { url: "http://x/v1/chat/completions", identity: { agent: "a", run: "r", namespace: "" } };
  const given = { priority: true, sessions: true };

  async function connected(flags: object, path = "/server_info") {
    const server = await startTrialServer((request) =>
      request.path === path ? { version: "0.5.20", page_size: 64, ...flags } : pages["sglang"]?.(request),
    );
    const adapter = await createEngine("sglang", [server.url], given);
    const info = await adapter.connect();
    await server.close();
    return { adapter, info };
  }

  test("its flags are read, under the path of today or of before, and an option counts only where its flag is on", async () => {
    for (const path of ["/server_info", "/get_server_info"]) {
      const { adapter, info } = await connected({ enable_priority_scheduling: false }, path);
      expect(info).toMatchObject({ version: "0.5.20", blockTokens: 64 });
      expect(adapter.supports).toEqual({ prefetch: "emulated", cancel: "emulated", release: "native" });
      expect(adapter.decorate?.(decide, [])).toEqual({ fields: { session_id: "r" } });
    }
    const all = await connected({ enable_priority_scheduling: true, radix_eviction_policy: "priority" });
    expect(all.adapter.supports).toMatchObject({ retain: "native", priority: "native", release: "native" });
    const lru = await connected({ enable_priority_scheduling: true, radix_eviction_policy: "lru" });
    expect(Object.keys(lru.adapter.supports)).not.toContain("retain");
    const retained = [{ type: "retain", prefix: { agent: "a" }, value: 1 }] as const;
    expect(lru.adapter.decorate?.(decide, retained)).toMatchObject({ fields: { priority: 0 } });
    expect(all.adapter.decorate?.(decide, retained)).toMatchObject({ fields: { priority: 100 } });
    const reversed = await connected({ schedule_low_priority_values_first: true });
    expect(reversed.adapter.supports).not.toHaveProperty("priority");
    const closed = await connected({ enable_session_radix_cache: false });
    expect(closed.adapter.supports).not.toHaveProperty("release");
    expect(closed.adapter.decorate?.(decide, [])).not.toHaveProperty("fields.session_id");
  });

  test("of runs that end without a word, the oldest are forgotten and not the newest", async () => {
    await using server = await startTrialServer(({ path }) => (path === "/close_session" ? "" : undefined));
    const adapter = await createEngine("sglang", [server.url], given);
    for (let run = 0; run < 5000; run++)
      adapter.observe?.({ type: "run-end", at: run, run: `r${run}`, status: "completed" });
    const release = async (run: string) =>
      (await adapter.apply([{ type: "release", prefix: { agent: "a", run } }]))[0]?.status;
    expect([await release("r0"), await release("r4999")]).toEqual(["ignored", "applied"]);
  });
});

describe("llama-server", () => {
  test("without a model it is told as the router that it is", async () => {
    // What 0.7.0 answers.
    const answer = { role: "router", max_instances: 4, model_path: "none", build_info: "b11669-Debian" };
    await using server = await startTrialServer(({ path }) => (path === "/props" ? answer : undefined));
    const adapter = await createEngine("llama-server", [server.url], {});
    await expect(adapter.connect()).rejects.toThrow(
      /is a llama-server without a model, which starts others\n.+\(-m\)/,
    );
  });

  test("a request whose end is never seen does not keep its slot for ever", async () => {
    await using server = await startTrialServer(({ path }) =>
      path === "/props" ? { total_slots: 1 } : path === "/v1/models" ? { data: [] } : undefined,
    );
    const adapter = await createEngine("llama-server", [server.url], {});
    await adapter.connect();
    const slotFor = (run: string, at: number, isLost = false) => {
      const identity = { agent: "a", run, namespace: "a" };
      const prompt = { anchor: { hash: "a", length: 10 }, history: [] };
      const url = `${server.url}/v1/chat/completions`;
      adapter.observe?.({ type: "request-start", at, ...identity, request: run, prompt });
      const decoration = adapter.decorate?.({ url, identity, request: run }, []);
      if (!isLost)
        adapter.observe?.({ type: "request-end", at, ...identity, request: run, status: "completed" });
      return decoration?.fields?.["id_slot"];
    };
    expect([slotFor("lost", 0, true), slotFor("2", 600_000), slotFor("3", 600_001)]).toEqual([
      0,
      undefined,
      0,
    ]);
  });

  test("servers that share a folder save their slots in files of their own", async () => {
    const names = await Promise.all(
      [0, 1].map(async () => {
        await using server = await startTrialServer(() => ({ n_saved: 1 }));
        await new SavedSlots(new EngineHttp({ engine: "llama-server", url: server.url }), 1).save(
          { agent: "a", run: "r" },
          0,
        );
        return z.object({ filename: z.string() }).parse(server.requests[0]?.body).filename;
      }),
    );
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^cachesage-\d+-0\.bin$/);
  });
});

test("servers of different models are no replicas of each other", async () => {
  const servers = await Promise.all(
    ["one", "two"].map((id) =>
      startTrialServer(({ path }) =>
        path === "/v1/models"
          ? { data: [{ id, owned_by: "vllm" }, ...(id === "one" ? [{ id: "both" }] : [])] }
          : undefined,
      ),
    ),
  );
  const urls = servers.map(({ url }) => url);
  await expect(CacheSage.connect(urls, { engine: "vllm" })).rejects.toThrow(
    `${urls[0]}/v1 offers one, both, ${urls[1]}/v1 two\nSeveral urls stand in for each other`,
  );
  await Promise.all(servers.map((server) => server.close()));
});
