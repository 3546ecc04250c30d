import { request as send } from "node:http";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CacheSage, definePolicy, InvalidOptionsError, type EngineAdapter } from "../../src/index.ts";
import { CacheWatch } from "../../src/wire/cache-watch.ts";
import { ScriptedServer } from "../langgraph/scripted-server.ts";
import { ScriptedApp, viewOf } from "./scripted-app.ts";

const VIEWS = ["overview", "agents", "cache", "decisions", "runs", "policies", "engines"];
const SECRET = "xylophone-7c1f";

/** Sends exactly these headers, which fetch would not. */
function status(url: string, headers: Record<string, string>, method = "GET"): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = send(url, { method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("who is answered", () => {
  it.each([
    ["its own address", {}, 200],
    ["localhost", { host: "localhost:1234" }, 200],
    ["another name for this address", { host: "evil.example" }, 403],
    ["another name that begins alike", { host: "localhost.evil.example" }, 403],
    ["another page's script", { origin: "https://evil.example" }, 403],
    ["a page without origin", { origin: "null" }, 403],
    ["a picture of another page", { "sec-fetch-site": "cross-site" }, 403],
    ["its own page's script", { origin: "http://127.0.0.1:4983" }, 200],
  ] as const)("%s", async (_who, headers, expected) => {
    const dashboard = await new ScriptedApp().open();
    for (const path of ["", "api/now", "main.js"])
      expect(await status(dashboard.url + path, headers)).toBe(expected);
    await dashboard.close();
  });

  it("nobody who wants to write", async () => {
    const dashboard = await new ScriptedApp().open();
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
      expect(await status(`${dashboard.url}api/now`, {}, method)).toBe(405);
    await dashboard.close();
  });

  it("a host name that was allowed", async () => {
    const dashboard = await new ScriptedApp().open({ allowedHosts: ["proxy.example"] });
    expect(await status(dashboard.url, { host: "proxy.example", origin: "https://proxy.example" })).toBe(200);
    await dashboard.close();
  });

  it("with files of the page alone, none of which loads anything from elsewhere", async () => {
    const dashboard = await new ScriptedApp().open();
    for (const path of [
      "page-files.js",
      "..%2fserver.ts",
      "views/../../server.ts",
      "%2e%2e/server.ts",
      "style.ts",
    ])
      expect(await status(dashboard.url + path, {})).toBe(404);
    for (const path of [
      "",
      "main.js",
      "views/runs.js",
      "charts/flow.js",
      "style.css",
      "icon.svg",
      "echarts.js",
    ]) {
      const response = await fetch(dashboard.url + path);
      expect(response.status).toBe(200);
      const text = path === "echarts.js" ? "" : await response.text();
      expect(text).not.toMatch(/https?:\/\/(?!www\.w3\.org)(?!localhost)/);
      expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    }
    await dashboard.close();
  });
});

describe("what is sent", () => {
  it("never holds a text of a prompt, an answer, a tool or an error", async () => {
    await using server = await ScriptedServer.start((_, index) =>
      index === 1 ? { tool: { name: "search", arguments: { query: SECRET } } } : { text: SECRET, cached: 4 },
    );
    const adapter: EngineAdapter = {
      specificationVersion: "v1",
      name: "scripted",
      baseURL: server.url,
      apiKey: SECRET,
      supports: { retain: "native", release: "native", prefetch: "native", cancel: "native" },
      connect: async () => ({ engine: "scripted", models: ["scripted"] }),
      apply: async (hints) =>
        hints.map((hint) => ({
          status: "failed",
          reason: `the server says {"error": "bad body: ${SECRET}"}\n${JSON.stringify(hint)}`,
        })),
      status: async () => {
        throw new Error(SECRET);
      },
      close: async () => {},
    };
    await using sage = await CacheSage.connect({
      engine: adapter,
      cacheHints: true,
      onEvent: () => {
        throw new Error(SECRET);
      },
    });
    const { url } = await sage.dashboard({ port: 0 });
    const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
    const node = async ({ messages }: typeof MessagesAnnotation.State) => ({
      messages: [await model.invoke([{ role: "system", content: `be brief, ${SECRET}` }, ...messages])],
    });
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("planner", node)
        .addNode("writer", node)
        .addEdge(START, "planner")
        .addEdge("planner", "writer")
        .compile(),
    );
    for (let run = 0; run < 4; run++)
      await graph.invoke({ messages: [{ role: "user", content: `write about ${SECRET}` }] });
    await sage.idle();
    expect(server.requests.some(({ raw }) => raw.includes(SECRET))).toBe(true);
    const pages = await Promise.all(
      VIEWS.map(async (view) => (await fetch(`${url}api/now?view=${view}`)).text()),
    );
    for (const page of pages) {
      expect(page).toContain('"head"');
      expect(page).not.toContain(SECRET);
      expect(page).not.toContain("be brief");
    }
    const { rows } = await viewOf<{ rows: { reason: string }[] }>(url, "decisions", { status: "failed" });
    expect(rows[0]?.reason).toBe("the server says …");
    const { faultKinds } = await viewOf<{ faultKinds: { kind: string }[] }>(url, "overview");
    expect(faultKinds.map(({ kind }) => kind)).toContain("onEvent: Error");
  });

  it("tells a policy that was left out from one that is at work", async () => {
    await using server = await ScriptedServer.start(() => ({ text: "a haiku" }));
    const broken = definePolicy({
      name: "broken",
      description: "Fails whenever it is asked",
      subject: "prefix",
      actions: ["retain"],
      options: z.strictObject({}),
      create: () => ({
        act: () => {
          throw new Error(SECRET);
        },
      }),
    });
    const engine: EngineAdapter = {
      specificationVersion: "v1",
      name: "scripted",
      baseURL: server.url,
      apiKey: "local",
      supports: {},
      connect: async () => ({ engine: "scripted", models: ["scripted"] }),
      apply: async () => [],
      close: async () => {},
    };
    await using sage = await CacheSage.connect({ engine, policies: { broken } });
    const { url } = await sage.dashboard({ port: 0 });
    const leftOut = async () => {
      const { policies } = await viewOf<{ policies: { name: string; isLeftOut: boolean }[] }>(
        url,
        "policies",
      );
      return policies.filter(({ isLeftOut }) => isLeftOut).map(({ name }) => name);
    };
    const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("planner", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
        .addEdge(START, "planner")
        .compile(),
    );
    await graph.invoke({ messages: [{ role: "user", content: "write" }] });
    expect(await leftOut()).toEqual([]);
    for (let run = 0; run < 20; run++) await graph.invoke({ messages: [{ role: "user", content: "write" }] });
    expect(await leftOut()).toEqual(["broken"]);
  });

  it("never holds user, password or query of the engine's address", async () => {
    const dashboard = await new ScriptedApp().open();
    const engines = await viewOf<{ address: string }>(dashboard.url, "engines");
    expect(engines.address).toBe("http://127.0.0.1:9/v1");
    expect(JSON.stringify(engines)).not.toContain("secret");
    await dashboard.close();
  });
});

/** Resolves when the engine has told its capacity. */
async function asked(url: string): Promise<void> {
  await expect
    .poll(() => viewOf<{ capacityTokens: number | null }>(url, "cache"), { interval: 1 })
    .toMatchObject({ capacityTokens: 4000 });
}

describe("what is shown", () => {
  it("hit rate and shadows over the very same requests", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    await asked(dashboard.url);
    app.declare();
    app.play(10);
    const { shadows, ...data } = await viewOf<Record<string, number> & { shadows: Record<string, unknown> }>(
      dashboard.url,
      "overview",
    );
    // Prompts of 500, 700 and 900 tokens; all but the first run found 500 of each.
    expect(data).toMatchObject({ requests: 30, promptTokens: 21_000, cachedTokens: 27 * 500 });
    // Anchors of 500 tokens each fit, and messages are new in each run but for those of the agent before.
    expect(shadows).toMatchObject({ state: "shown", capacityTokens: 4000, promptTokens: 21_000 });
    expect(Math.round(shadows["lruTokens"] as number)).toBe(27 * 500);
    await dashboard.close();
  });

  it("no shadow where the engine does not tell its capacity, unless it is given", async () => {
    const blind = { supports: {}, baseURL: "http://127.0.0.1:9/v1" };
    const states = await Promise.all(
      [undefined, 4000].map(async (kvTokens) => {
        const app = new ScriptedApp({ adapter: blind });
        const dashboard = await app.open(kvTokens === undefined ? {} : { kvTokens });
        app.play(2);
        const data = await viewOf<{ shadows: object }>(dashboard.url, "overview");
        await dashboard.close();
        return data.shadows;
      }),
    );
    expect(states).toMatchObject([
      { state: "no-capacity", lruTokens: 0, promptTokens: 0 },
      { state: "shown", promptTokens: 4200 },
    ]);
  });

  it("no shadow of a past that it did not see, until the shadow has been full once", async () => {
    const app = new ScriptedApp();
    app.play(1);
    const dashboard = await app.open();
    await asked(dashboard.url);
    app.play(1, 1);
    const state = async () =>
      (await viewOf<{ shadows: { state: string } }>(dashboard.url, "overview")).shadows.state;
    expect(await state()).toBe("catching-up");
    app.play(20, 2);
    expect(await state()).toBe("shown");
    await dashboard.close();
  });

  it("transitions with what had been said of them, and the declared graph", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    app.declare();
    app.play(20);
    const { transitions } = await viewOf<{ transitions: Record<string, unknown>[] }>(dashboard.url, "agents");
    const step = transitions.find(({ from, to }) => from === "planner" && to === "coder");
    expect(step).toMatchObject({ count: 20, declared: 1 });
    expect(step?.["said"]).toBeGreaterThan(0.8);
    await dashboard.close();
  });

  it("decisions by filter, and what came after a prefetch", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    app.declare();
    app.play(5);
    interface Row {
      readonly verb: string;
      readonly agent: string;
      readonly came: { readonly isIt: boolean; readonly cachedShare: number };
    }
    const { rows, matching, held } = await viewOf<{ rows: Row[]; matching: number; held: number }>(
      dashboard.url,
      "decisions",
      { verb: "prefetch", text: "coder" },
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(matching).toBeLessThan(held);
    expect(rows.every(({ verb, agent }) => verb === "prefetch" && agent === "coder")).toBe(true);
    expect(rows[0]?.came).toMatchObject({ isIt: true, cachedShare: 500 / 700 });
    await dashboard.close();
  });

  it("verdicts, without what they hand out", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    const call = { kind: "tool-call", id: "1", agent: "coder", run: "r" } as const;
    app.ledger.record(0, "tool-memo", "r", { type: "reuse", call, output: SECRET, reason: "asked before" });
    const { rows } = await viewOf<{ rows: unknown[] }>(dashboard.url, "decisions", { status: "binding" });
    expect(rows).toMatchObject([{ verb: "reuse", agent: "coder", of: "tool-call", reason: "asked before" }]);
    expect(JSON.stringify(rows)).not.toContain(SECRET);
    await dashboard.close();
  });

  it("what the engine's caches hold by its events, their gaps and lag, without keys in addresses", async () => {
    const watch = new CacheWatch({
      adapter: {
        async *events(signal) {
          const from = { source: "tcp://user:secret@10.0.0.1:5557", worker: "http://a:secret@10.0.0.1/v1" };
          const stored = { type: "block-stored", blockTokens: 16, tokens: [] } as const;
          yield { ...stored, ...from, at: 1, blocks: ["1", "2"], medium: "GPU", lagMs: 7 };
          yield { ...from, type: "gap", at: 2, reason: "lost", missed: 3 };
          yield { ...stored, ...from, at: 3, blocks: ["3"], medium: "CPU", lagMs: 4 };
          await new Promise((resolve) => signal?.addEventListener("abort", resolve));
        },
      },
      onEvent: () => {},
      onFault: () => {},
    }).start();
    const app = new ScriptedApp({ caches: () => watch.states });
    app.status = { capacityTokens: 160 };
    const dashboard = await app.open();
    const events = async () => (await viewOf<{ events: object }>(dashboard.url, "engines")).events;
    await expect.poll(events).toEqual({
      state: "open",
      sources: [
        {
          source: "tcp://10.0.0.1:5557",
          worker: "http://10.0.0.1/v1",
          residentBlocks: 1,
          residentTokens: 16,
          media: { CPU: 1 },
          isComplete: false,
          events: 3,
          storedBlocks: 3,
          removedBlocks: 0,
          clearings: 0,
          gaps: { lost: 1, restart: 0, unreadable: 0 },
          missed: 3,
          latestAt: 3,
          lagMs: 4,
          gapAt: 2,
        },
      ],
    });
    expect(await viewOf(dashboard.url, "cache")).toMatchObject({
      residentTokens: 16,
      tiers: [{ cache: "http://10.0.0.1/v1", medium: "CPU", blocks: 1, tokens: 16, isComplete: false }],
    });
    await dashboard.close();
    await watch.stop();
    expect(watch.states.stream).toBe("ended");
  });

  it("each of several servers", async () => {
    const served = { requests: 4, promptTokens: 200, cachedTokens: 150 };
    const workers = [
      { baseURL: "http://key:secret@127.0.0.1:9/v1", isUp: true, underWay: 2, served },
      { baseURL: "http://127.0.0.1:10/v1", isUp: true, underWay: 0, served },
    ];
    const replicas = [
      { baseURL: workers[0]?.baseURL ?? "", isUp: true, status: { capacityTokens: 90, waiting: 1 } },
      { baseURL: workers[1]?.baseURL ?? "", isUp: false },
    ];
    const { adapter } = new ScriptedApp().source;
    const told = async () => ({ replicas });
    const dashboard = await new ScriptedApp({
      adapter: { ...adapter, status: told, workers: () => workers },
    }).open();
    const seen = async () => (await viewOf<{ replicas: unknown[] }>(dashboard.url, "engines")).replicas;
    const unknown = { capacityTokens: null, residentTokens: null, waiting: null };
    await expect.poll(seen).toEqual([
      {
        ...unknown,
        address: "http://127.0.0.1:9/v1",
        isUp: true,
        underWay: 2,
        served,
        capacityTokens: 90,
        waiting: 1,
      },
      { ...unknown, address: "http://127.0.0.1:10/v1", isUp: false, underWay: 0, served },
    ]);
    await dashboard.close();
  });

  it("that an engine is down, and that it is back", async () => {
    const app = new ScriptedApp();
    app.status = undefined;
    const dashboard = await app.open();
    const head = async () =>
      ((await (await fetch(`${dashboard.url}api/now`)).json()) as { head: Record<string, unknown> }).head;
    await expect.poll(head).toMatchObject({ state: "down", failure: "ENGINE_UNREACHABLE" });
    app.status = { capacityTokens: 10 };
    await expect.poll(head).toMatchObject({ state: "up", failure: null });
    await dashboard.close();
  });
});

describe("what it costs", () => {
  it("stays small: a quarter of a million events leave no more than a few runs and buckets", async () => {
    const app = new ScriptedApp();
    const dashboard = await app.open();
    const [watcher] = app.watchers;
    const before = performance.now();
    let events = 0;
    for (let run = 0; run < 20_000; run++) {
      const at = run * 40;
      const id = `run-${run}`;
      const identity = { run: id, agent: `agent-${run % 200}`, namespace: "" };
      const prompt = { anchor: { hash: identity.agent, length: 2000 }, history: [{ hash: id, length: 400 }] };
      watcher?.event({ type: "run-start", at, run: id });
      for (let call = 0; call < 4; call++) {
        const request = `${run}/${call}`;
        watcher?.event({ type: "request-start", at, ...identity, request, prompt });
        watcher?.event({ type: "request-first-token", at: at + 1, ...identity, request });
        const usage = { promptTokens: 600, cachedTokens: 100, outputTokens: 5 };
        watcher?.event({ type: "request-end", at: at + 2, ...identity, request, status: "completed", usage });
        events += 3;
      }
      // Every other run never ends.
      if (run % 2 === 0) watcher?.event({ type: "run-end", at: at + 3, run: id, status: "completed" });
    }
    const perEvent = ((performance.now() - before) / events) * 1000;
    // 5,000 events a second are 200 microseconds each; measured are a few.
    expect(perEvent).toBeLessThan(100);
    for (const view of VIEWS) {
      const text = await (await fetch(`${dashboard.url}api/now?view=${view}`)).text();
      expect(text.length).toBeLessThan(200_000);
    }
    await dashboard.close();
  });

  it("nothing after it is closed: policies are as they were, and nobody is told", async () => {
    const app = new ScriptedApp();
    const policy = app.source.policies[0]?.policy;
    const untouched = policy?.act;
    const dashboard = await app.open();
    expect(policy?.act).not.toBe(untouched);
    await dashboard.close();
    await dashboard.close();
    expect(policy?.act).toBe(untouched);
    expect(app.watchers.size).toBe(0);
    await expect(fetch(dashboard.url)).rejects.toThrow("fetch failed");
  });
});

describe("opening", () => {
  it("says which option is wrong", async () => {
    await expect(new ScriptedApp().open({ port: 70_000 })).rejects.toThrow(InvalidOptionsError);
  });

  it("says what to do when the port is taken", async () => {
    const dashboard = await new ScriptedApp().open();
    const { port } = new URL(dashboard.url);
    const second = new ScriptedApp();
    await expect(second.open({ port: Number(port) })).rejects.toThrow(/cannot listen[^]*another port/);
    expect(second.watchers.size).toBe(0);
    await dashboard.close();
  });

  it("twice gives the one that is open; after closing, another", async () => {
    await using server = await ScriptedServer.start();
    await using sage = await CacheSage.connect({
      engine: {
        specificationVersion: "v1",
        name: "scripted",
        baseURL: server.url,
        supports: {},
        connect: async () => ({ engine: "scripted", models: [] }),
        apply: async () => [],
        close: async () => {},
      },
    });
    const [first, same] = await Promise.all([sage.dashboard({ port: 0 }), sage.dashboard({ port: 0 })]);
    expect(same.url).toBe(first.url);
    await first.close();
    const second = await sage.dashboard({ port: 0 });
    // The first is closed, whoever says so again.
    await first.close();
    expect((await sage.dashboard()).url).toBe(second.url);
    expect((await fetch(second.url)).status).toBe(200);
    await sage.close();
    await expect(fetch(second.url)).rejects.toThrow("fetch failed");
    await expect(sage.dashboard()).rejects.toThrow("cachesage is closed");
  });
});
