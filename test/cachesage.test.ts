import { getEventListeners } from "node:events";
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ChatOpenAI } from "@langchain/openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CacheSage, CacheSageError, InvalidOptionsError, UnknownNameError } from "../src/index.ts";
import type { CacheSageOptions, EngineAdapter, Event, Hint } from "../src/index.ts";
import { MemoryStore } from "../src/stores/memory.ts";
import { RedisStore } from "../src/stores/redis.ts";
import { ScriptedServer } from "./langgraph/scripted-server.ts";

const rejections: unknown[] = [];
const note = (reason: unknown) => void rejections.push(reason);
beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => void process.off("unhandledRejection", note));

const input = { messages: [{ role: "user" as const, content: "write a haiku" }] };

/** An engine behind the scripted server that takes every hint and keeps it. */
function adapter(server: ScriptedServer, change: Partial<EngineAdapter> = {}) {
  const applied: Hint[] = [];
  const engine: EngineAdapter = {
    specificationVersion: "v1",
    name: "scripted",
    baseURL: server.url,
    apiKey: "local",
    supports: { retain: "native", release: "native", prefetch: "native" },
    connect: async () => ({ engine: "scripted", models: ["scripted"] }),
    decorate: () => ({ fields: { hint: "keep" }, headers: { "x-hint": "keep" } }),
    apply: async (hints) => {
      applied.push(...hints);
      return hints.map(() => ({ status: "applied" }));
    },
    close: async () => {},
    ...change,
  };
  return { engine, applied };
}

/** Two agents in turn; with `sage` the graph and its models are observed. */
async function play(server: ScriptedServer, sage?: CacheSage): Promise<readonly unknown[]> {
  const fields = { model: "scripted", maxRetries: 0 };
  const model = sage
    ? new ChatOpenAI({ ...fields, ...sage.model() })
    : new ChatOpenAI({ ...fields, apiKey: "local", configuration: { baseURL: server.url } });
  const node = async ({ messages }: typeof MessagesAnnotation.State) => ({
    messages: [await model.invoke([{ role: "system", content: "be brief" }, ...messages])],
  });
  const graph = new StateGraph(MessagesAnnotation)
    .addNode("planner", node)
    .addNode("writer", node)
    .addEdge(START, "planner")
    .addEdge("planner", "writer")
    .compile();
  const { messages } = await (sage?.instrument(graph) ?? graph).invoke(input);
  return messages.map(({ type, content }) => [type, content]);
}

test("a request carries what was decided when it began, though decisions wait for the end of a turn", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const carried: unknown[] = [];
  const { engine } = adapter(server, {
    decorate: ({ identity }, decisions) => {
      const own = decisions.find(({ prefix }) => prefix.run === identity.run);
      carried.push([identity.agent, own?.type, own?.prefix.agent]);
      return {};
    },
  });
  await using sage = await CacheSage.connect({ engine, cacheHints: true });
  await play(server, sage);
  expect(carried).toEqual([
    ["planner", "retain", "planner"],
    ["writer", "retain", "writer"],
  ]);
});

test("what is asked of it is up to date in the turn in which it happened", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const seen: number[] = [];
  const { engine } = adapter(server);
  const sage = await CacheSage.connect({
    engine,
    onEvent: ({ type }) => {
      if (type === "request-end")
        queueMicrotask(() => seen.push(sage.ledger.count, sage.stats.decisionUs.length));
    },
  });
  await play(server, sage);
  await sage.close();
  expect(seen).toHaveLength(4);
  const [ledger = 0, decisions = 0, laterLedger = 0, laterDecisions = 0] = seen;
  // A start and an end of the first call, or both at once.
  expect(decisions).toBeGreaterThanOrEqual(1);
  expect(ledger).toBeGreaterThan(0);
  expect(laterDecisions).toBeGreaterThan(decisions);
  expect(laterLedger).toBeGreaterThan(ledger);
});

test("decisions that nobody waits for are made later, and are the same", async () => {
  const decided = await Promise.all(
    [[], [{ name: "silent", attach: () => ({}) }]].map(async (telemetry) => {
      let now = 1;
      await using server = await ScriptedServer.start(() => ({ text: `answer ${String((now += 1000))}` }));
      const { engine } = adapter(server);
      await using sage = await CacheSage.connect({ engine, telemetry, clock: { now: () => now } });
      const made: number[] = [];
      for (let run = 0; run < 5; run++) {
        await play(server, sage);
        made.push(sage.ledger.count);
      }
      const entries = [...sage.ledger].map(({ at, action }) => [at, action.type, action]);
      return JSON.parse(JSON.stringify({ made, entries }, (key, value) => (key === "run" ? "" : value)));
    }),
  );
  expect(decided[0].entries.length).toBeGreaterThan(30);
  expect(new Set(decided[0].entries.map(([at]: readonly unknown[]) => at)).size).toBeGreaterThan(9);
  expect(decided[0]).toEqual(decided[1]);
});

/** Listeners on a run's signal after four calls in it. */
async function listenersAfter(model: ChatOpenAI, watched?: CacheSage): Promise<number> {
  const { signal } = new AbortController();
  const node = async ({ messages }: typeof MessagesAnnotation.State, config: { signal?: AbortSignal }) => {
    const calls = Array.from({ length: 4 }, () => model.invoke(messages, { signal, ...config }));
    return { messages: await Promise.all(calls) };
  };
  const graph = new StateGraph(MessagesAnnotation).addNode("one", node).addEdge(START, "one").compile();
  await (watched?.instrument(graph) ?? graph).invoke(input, { signal });
  return getEventListeners(signal, "abort").length;
}

test("no call leaves a listener on the run's signal, but for those that the client leaves itself", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const { engine } = adapter(server);
  const policies = { admission: {}, fairness: {}, hedging: {}, "batch-shaping": {} };
  await using sage = await CacheSage.connect({ engine, cacheHints: true, policies });
  const fields = { model: "scripted", maxRetries: 0 };
  const without = new ChatOpenAI({ ...fields, apiKey: "local", configuration: { baseURL: server.url } });
  const expected = await listenersAfter(without);
  expect(await listenersAfter(new ChatOpenAI({ ...fields, ...sage.model() }), sage)).toBe(expected);
});

test("agents may be called like what every object has", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const { engine, applied } = adapter(server);
  const faults: unknown[] = [];
  await using sage = await CacheSage.connect({
    engine,
    cacheHints: true,
    policies: { fairness: { by: "agent" }, "batch-shaping": {}, admission: {} },
    onFault: (...fault) => faults.push(fault),
  });
  const names = ["__proto__", "constructor", "toString"] as const;
  const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
  const node = async ({ messages }: typeof MessagesAnnotation.State) => ({
    messages: [await model.invoke([{ role: "system", content: "be brief" }, ...messages])],
  });
  const [one, two, three] = names.map((agent) => sage.wrapNode(node, { agent }));
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("one", one ?? node)
      .addNode("two", two ?? node)
      .addNode("three", three ?? node)
      .addEdge(START, "one")
      .addEdge("one", "two")
      .addEdge("two", "three")
      .compile(),
  );
  for (let run = 0; run < 3; run++) await graph.invoke(input);
  await sage.idle();
  expect(faults).toEqual([]);
  expect(sage.stats.nextAgent).toMatchObject({ asked: 6, right: 6 });
  expect(new Set(applied.map(({ prefix }) => prefix.agent))).toEqual(new Set(names));
  const snapshot = JSON.parse(JSON.stringify(sage.snapshot())) as { agents: string[] };
  expect(snapshot.agents).toEqual(expect.arrayContaining([...names]));
  sage.restore(snapshot);
});

test("an adapter that cannot be closed is told once, and everything else is closed", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const { engine } = adapter(server, { close: () => Promise.reject(new Error("still busy")) });
  const close = vi.fn<() => void>();
  const [warnings, faults]: [string[], string[]] = [[], []];
  const sage = await CacheSage.connect({
    engine,
    telemetry: [{ name: "own", attach: () => ({ close }) }],
    warn: (message) => warnings.push(message),
    onFault: (where) => faults.push(where),
  });
  await play(server, sage);
  await sage.close();
  expect(close).toHaveBeenCalledOnce();
  await sage.close();
  expect(warnings).toEqual(["cachesage: engine could not be closed: still busy"]);
  expect(faults).toEqual(["close engine", "close engine"]);
});

test("an engine that never takes a hint is told once; the graph's answers are the same, and the hints are counted", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const { engine } = adapter(server, { apply: () => Promise.reject(new Error("HTTP 500")) });
  const warnings: string[] = [];
  await using sage = await CacheSage.connect({
    engine,
    cacheHints: true,
    warn: (message) => warnings.push(message),
  });
  const plain = await play(server);
  for (let run = 0; run < 4; run++) {
    expect(await play(server, sage)).toEqual(plain);
    await sage.idle();
  }
  expect(warnings.filter((message) => message.includes("hints to"))).toEqual([
    expect.stringContaining(`${server.url} failed 3 times in a row (HTTP 500)`),
  ]);
  expect(sage.stats.hints["retain failed"]).toBeGreaterThan(3);
});

const raised = (options: CacheSageOptions) => errorOf(CacheSage.connect(options));

async function errorOf(connecting: Promise<CacheSage>): Promise<CacheSageError> {
  const error: unknown = await connecting.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!CacheSageError.isInstance(error)) throw new Error("connect was expected to fail");
  return error;
}

describe("connect says what is wrong and what to do", () => {
  test.each(["nope", "/v1", ""])("a url that is none: %j", async (url) => {
    const error = await errorOf(CacheSage.connect(url, { engine: "embedded" }));
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(JSON.stringify(url));
    expect(error.hint).toContain("absolute URL");
  });

  test.each<[string | string[]]>([
    ["localhost:8000/v1"],
    [[]],
    [["http://127.0.0.1:8000/v1", "127.0.0.1:8001"]],
  ])("a url without its beginning, and no url in a list, are refused: %j", async (url) => {
    await expect(CacheSage.connect(url, { engine: "vllm" })).rejects.toMatchObject({
      code: "INVALID_OPTIONS",
      hint: expect.stringMatching(/^Pass (an absolute URL|at least one)/),
    });
  });

  test.each([
    ["engine", { engine: "embeded" }, "embedded"],
    ["policy", { policies: { "prefix-cach": {} } }, "prefix-cache"],
  ])("a misspelt %s lists the names there are", async (kind, options, known) => {
    const error = await raised(options);
    expect(error).toBeInstanceOf(UnknownNameError);
    expect(error.message).toContain(`no ${kind} is called`);
    expect(error.hint).toContain(known);
  });

  test.each<[string, object, string, string]>([
    ["option", { cacheHint: true }, '"cacheHint"', "cacheHints"],
    ["option of a policy", { policies: { "prefix-cache": { waste: 1 } } }, '"waste"', "wasteWeight"],
    ["option of an engine", { engineOptions: { prt: 1 } }, '"prt"', "port"],
  ])("a misspelt %s lists the options there are", async (_what, options, wrong, right) => {
    const error = await raised(options as CacheSageOptions);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toContain(wrong);
    expect(error.hint).toContain(right);
  });

  test("an option of the wrong kind is named with what was got", async () => {
    const error = await raised({ cacheHints: "yes" } as unknown as CacheSageOptions);
    expect(error.message).toMatch(/option cacheHints: .*got "yes"/);
  });

  test.each(["specificationVersion", "supports", "connect", "apply", "close"] as const)(
    "an adapter without %s is refused before anything is called",
    async (missing) => {
      await using server = await ScriptedServer.start();
      const { engine } = adapter(server, { [missing]: undefined });
      const error = await raised({ engine });
      expect(error).toBeInstanceOf(InvalidOptionsError);
      expect(error.message).toContain("EngineAdapter");
      expect(error.message).toContain(missing);
    },
  );

  test("an engine that cannot be reached rejects with the adapter's own error", async () => {
    await using server = await ScriptedServer.start();
    const down = new Error("down");
    const { engine } = adapter(server, { connect: () => Promise.reject(down) });
    await expect(CacheSage.connect({ engine })).rejects.toBe(down);
  });
});

describe("the flag", () => {
  test("off, which is the default: bytes and headers are those without cachesage, and no hint is sent", async () => {
    await using server = await ScriptedServer.start();
    const { engine, applied } = adapter(server);
    await using sage = await CacheSage.connect({ engine });
    const without = await play(server);
    expect(await play(server, sage)).toEqual(without);
    await sage.idle();
    const [plain, observed] = [server.requests.slice(0, 2), server.requests.slice(2)];
    expect(observed.map(({ raw }) => raw)).toEqual(plain.map(({ raw }) => raw));
    expect(observed.map(({ headers }) => headers)).toEqual(plain.map(({ headers }) => headers));
    expect(applied).toEqual([]);
    expect(sage.stats.hints).toEqual({});
  });

  test("off: an agent whose system message keeps changing is told all the same, once", async () => {
    await using server = await ScriptedServer.start();
    const warnings: string[] = [];
    const { engine } = adapter(server);
    await using sage = await CacheSage.connect({ engine, warn: (message) => void warnings.push(message) });
    const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
    let minute = 0;
    const graph = sage.instrument(
      new StateGraph(MessagesAnnotation)
        .addNode("planner", async ({ messages }) => ({
          messages: [
            await model.invoke([{ role: "system", content: `It is 12:0${minute++}.` }, ...messages]),
          ],
        }))
        .addEdge(START, "planner")
        .compile(),
    );
    for (let run = 0; run < 5; run++) await graph.invoke(input);
    expect(warnings).toEqual([
      expect.stringMatching(/^cachesage: agent "planner": its system message or its/),
    ]);
  });

  test("on: requests carry the engine's fields, and hints reach the engine", async () => {
    await using server = await ScriptedServer.start();
    const { engine, applied } = adapter(server);
    await using sage = await CacheSage.connect({ engine, cacheHints: true });
    await play(server, sage);
    await sage.idle();
    expect(server.requests.map(({ body, headers }) => [body["hint"], headers["x-hint"]])).toEqual([
      ["keep", "keep"],
      ["keep", "keep"],
    ]);
    expect(applied.map(({ type }) => type)).toContain("retain");
    expect(sage.stats.faults).toBe(0);
  });
});

describe("callbacks of the user", () => {
  test.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("broken callback"))],
    [
      "throws",
      () => {
        throw new Error("broken callback");
      },
    ],
  ])("onEvent that %s is a fault for each event and changes nothing else", async (_how, broken) => {
    await using server = await ScriptedServer.start();
    const faults: string[] = [];
    let events = 0;
    await using sage = await CacheSage.connect({
      engine: adapter(server).engine,
      onEvent: () => {
        events++;
        return broken() as undefined;
      },
      onFault: (where) => void faults.push(where),
    });
    expect(await play(server, sage)).toEqual(await play(server));
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toBeGreaterThan(0);
    expect(faults).toEqual(Array(events).fill("onEvent"));
    expect(sage.stats.faults).toBe(events);
    expect(rejections).toEqual([]);
  });

  test("onFault that rejects is let go", async () => {
    await using server = await ScriptedServer.start();
    const broken = (() => Promise.reject(new Error("broken callback"))) as unknown as () => undefined;
    await using sage = await CacheSage.connect({
      engine: adapter(server).engine,
      onEvent: broken,
      onFault: broken,
    });
    await play(server, sage);
    await new Promise((resolve) => setImmediate(resolve));
    expect(sage.stats.faults).toBeGreaterThan(0);
    expect(rejections).toEqual([]);
  });

  test("onEvent that works sees a run from its start to its end", async () => {
    await using server = await ScriptedServer.start();
    const events: Event[] = [];
    const onEvent = (event: Event) => void events.push(event);
    await using sage = await CacheSage.connect({ engine: adapter(server).engine, onEvent });
    await play(server, sage);
    const types = events.map(({ type }) => type).filter((type) => type !== "topology");
    expect([types[0], types.at(-1)]).toEqual(["run-start", "run-end"]);
    expect(sage.stats.faults).toBe(0);
    expect(sage.stats.openRuns).toBe(0);
  });
});

describe("a store", () => {
  test("hands what one app learned to the next one, and is left open", async () => {
    await using server = await ScriptedServer.start();
    const store = new MemoryStore();
    const close = vi.spyOn(store, "close");
    const learned: unknown[] = [];
    for (const plays of [true, false]) {
      await using sage = await CacheSage.connect({ engine: adapter(server).engine, store });
      if (plays) await play(server, sage);
      learned.push(JSON.stringify(sage.snapshot()).includes("writer"));
    }
    expect(learned).toEqual([true, true]);
    expect(close).not.toHaveBeenCalled();
  });

  test("that is down is a fault, counted, and changes no result", async () => {
    await using server = await ScriptedServer.start();
    const without = await play(server);
    const store = await RedisStore.fromUrl("redis://127.0.0.1:1", { timeoutMs: 200 });
    const faults: string[] = [];
    const onFault = (where: string) => void faults.push(where);
    await using sage = await CacheSage.connect({ engine: adapter(server).engine, store, onFault });
    expect(await play(server, sage)).toEqual(without);
    expect(faults).toEqual(["store"]);
    expect(sage.stats.store).toMatchObject({ store: "redis", batches: 0, failures: 1 });
  });

  test("that is none is refused", async () => {
    const error = await raised({ store: {} } as unknown as CacheSageOptions);
    expect(error.message).toContain("expected a Store");
  });
});

const throwing = () => {
  throw new Error("broken adapter");
};
const brokenAppliers: Readonly<Record<string, EngineAdapter["apply"]>> = {
  throws: throwing,
  rejects: () => Promise.reject(new Error("broken adapter")),
  "never answers": () => new Promise(() => {}),
  "answers nonsense": async () => 7 as unknown as [],
  "answers too little": async () => [],
  "answers nulls": async (hints) => hints.map(() => null) as unknown as [],
};

test.each(Object.entries(brokenAppliers))(
  "an adapter whose apply %s changes no result",
  async (_how, apply) => {
    await using server = await ScriptedServer.start();
    const without = await play(server);
    const { engine } = adapter(server, { apply });
    await using sage = await CacheSage.connect({ engine, cacheHints: true });
    expect(await play(server, sage)).toEqual(without);
    await sage.close();
    expect(server.requests).toHaveLength(4);
    expect(Object.keys(sage.stats.hints)).not.toContain("retain applied");
    expect(rejections).toEqual([]);
  },
);

const brokenDecorators: Readonly<Record<string, () => unknown>> = {
  throws: throwing,
  rejects: () => Promise.reject(new Error("broken adapter")),
  "never answers": () => new Promise(() => {}),
  "answers nonsense": () => "fields",
  "adds what no JSON can hold": () => ({ fields: { big: 1n } }),
};

test.each(Object.entries(brokenDecorators))(
  "an adapter whose decorate %s changes no byte of a request",
  async (_how, decorate) => {
    await using server = await ScriptedServer.start();
    const without = await play(server);
    const { engine } = adapter(server, { decorate: decorate as () => never });
    await using sage = await CacheSage.connect({ engine, cacheHints: true });
    expect(await play(server, sage)).toEqual(without);
    const [plain, observed] = [server.requests.slice(0, 2), server.requests.slice(2)];
    expect(observed.map(({ raw }) => raw)).toEqual(plain.map(({ raw }) => raw));
    expect(rejections).toEqual([]);
  },
);

test("a node that calls the model about two things has a prefix for each", async () => {
  await using server = await ScriptedServer.start(() => ({ text: "done" }));
  const carried: unknown[] = [];
  const { engine, applied } = adapter(server, {
    decorate: ({ branch = 0 }, decisions) => {
      const own = decisions.filter(({ prefix }) => prefix.run !== undefined);
      carried.push([branch, ...own.map(({ prefix }) => prefix.branch ?? 0)]);
      return {};
    },
  });
  const sage = await CacheSage.connect({ engine, cacheHints: true });
  const model = new ChatOpenAI({ model: "scripted", maxRetries: 0, ...sage.model() });
  const said = { write: [user("draft")], review: [user("look")] };
  const ask = async (about: "write" | "review") => {
    await model.invoke([{ role: "system", content: about }, ...said[about]]);
    said[about].push(user(`more to ${about}`));
  };
  const graph = sage.instrument(
    new StateGraph(MessagesAnnotation)
      .addNode("coder", async () => {
        for (const about of ["write", "review", "write", "review"] as const) await ask(about);
        return {};
      })
      .addEdge(START, "coder")
      .compile(),
  );
  await graph.invoke(input);
  await sage.idle();
  expect(carried).toEqual([0, 1, 0, 1].map((branch) => [branch, branch]));
  const released = applied.filter(({ type }) => type === "release").map(({ prefix }) => prefix.branch ?? 0);
  expect(released.toSorted()).toEqual([0, 1]);
  expect(sage.stats.faults).toBe(0);
  await sage.close();
});

function user(content: string) {
  return { role: "user" as const, content };
}
