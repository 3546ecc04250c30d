import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CacheSage } from "../../src/cachesage.ts";
import definition from "../../src/engines/dynamo.ts";
import type { PrefetchHint } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { ResidentPrefixes } from "../wire/resident-prefixes.ts";
import { system, user, words } from "../embedded/nano.ts";
import { type DynamoServer, noDynamo, startDynamo } from "./real/dynamo.ts";
import { playTeam } from "./real/team.ts";

const messagesOf = (seed: number) => [system(words(300, seed)), user("What now?")];
const prefetch = (seed: number, run = "r"): PrefetchHint => ({
  type: "prefetch",
  prefix: { agent: `agent-${seed}`, run },
  value: 0.9,
  probability: 0.9,
  tokens: 400,
  body: { model: "tiny", messages: messagesOf(seed) },
});

interface Answer {
  readonly usage: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly nvext?: { readonly worker_id?: { readonly decode_worker_id: number } };
}

const workerOf = ({ body }: { readonly body: Answer }) => body.nvext?.worker_id?.decode_worker_id;

describe.skipIf(noDynamo)("a real Dynamo frontend with two mocker workers", { timeout: 60_000 }, () => {
  let server: DynamoServer;
  let adapter: EngineAdapter;
  beforeAll(async () => {
    server = await startDynamo();
    adapter = definition.create(definition.options.parse({ url: `${server.url}/v1`, events: server.events }));
  });
  afterAll(async () => {
    await adapter?.close();
    await server?.stop();
  });

  async function chat(seed: number, more: object = {}, headers: Readonly<Record<string, string>> = {}) {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model: "tiny", messages: messagesOf(seed), max_tokens: 2, ...more }),
    });
    return { status: response.status, body: (await response.json()) as Answer };
  }
  test("connect tells the model", async () => {
    expect(await adapter.connect()).toEqual({ engine: "dynamo", models: ["tiny"] });
  });

  test("the strict frontend takes what the adapter adds, and refuses what it does not know", async () => {
    const identity = { agent: "a", run: "r", namespace: "" };
    for (let answer = 0; answer < 3; answer++)
      adapter.observe?.({
        type: "request-end",
        at: 0,
        ...identity,
        request: `q${answer}`,
        status: "completed",
        usage: { outputTokens: 40 },
      });
    const salted = definition.create(
      definition.options.parse({
        url: server.url,
        speculativePrefill: true,
        strictPriority: true,
        cacheSalt: "tenant-a",
      }),
    );
    const call = { url: `${server.url}/v1/chat/completions`, identity };
    const { fields, headers } = adapter.decorate?.(call, []) ?? {};
    expect(fields).toEqual({ nvext: { agent_hints: { osl: 40 } } });
    expect((await chat(1, fields, headers)).status).toBe(200);
    const { fields: more } = salted.decorate?.(call, []) ?? {};
    expect(more).toEqual({
      nvext: { agent_hints: { speculative_prefill: true, strict_priority: 1 }, cache_salt: "tenant-a" },
    });
    expect((await chat(1, more)).status).toBe(200);
    expect((await chat(1, { kv_hints: {} })).status).toBe(400);
    expect((await chat(1, { nvext: { agent_hints: { priority: 0.5 } } })).status).toBe(400);
  });

  test("a prefetched prompt serves the request, on the worker that has it", async () => {
    const [outcome] = await adapter.apply([prefetch(2)]);
    expect(outcome).toMatchObject({ status: "applied" });
    expect(outcome?.tokens).toBeGreaterThan(200);
    // The router may not know yet what the prefetch has stored: the run's session names the worker.
    const identity = { agent: "agent-2", run: "r", namespace: "" };
    const call = { url: `${server.url}/v1/chat/completions`, identity };
    const { usage } = (await chat(2, {}, adapter.decorate?.(call, [])?.headers)).body;
    expect(usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens).toBeLessThan(32);
  });

  test("its counters are told without what warm-ups added to them", async () => {
    const own = definition.create(definition.options.parse({ url: server.url }));
    await own.connect();
    await own.apply([prefetch(8200), prefetch(8201)]);
    const { usage } = (await chat(8200)).body;
    expect(own.warmUps).toMatchObject({ requests: 2 });
    const served = {
      requests: 1,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
    };
    await expect.poll(async () => (await own.status?.())?.served).toEqual(served);
    await own.close();
  });

  test("a session sticks to its worker, and its prefetches go there as well", async () => {
    const workers = new Set<number | undefined>();
    const extra = { nvext: { extra_fields: ["worker_id"] } };
    for (let turn = 0; turn < 6; turn++)
      workers.add(workerOf(await chat(9300 + turn, extra, { "x-dynamo-session-id": "s1" })));
    expect(workers.size).toBe(1);
    adapter.observe?.({ type: "run-start", at: 0, run: "run-of-s1", session: "s1" });
    await adapter.apply([prefetch(9400, "run-of-s1")]);
    const answer = await chat(9400, extra, { "x-dynamo-session-id": "s1" });
    expect(workers).toContain(workerOf(answer));
    expect(answer.body.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(200);
  });

  test("a session's parent and its last call move nothing, so nobody is told of them", async () => {
    const extra = { nvext: { extra_fields: ["worker_id"] } };
    const id = "x-dynamo-session-id";
    const places: { parent: unknown; child: unknown }[] = [];
    const areApart = () => places.some(({ parent, child }) => parent !== child);
    // The router draws lots for a new session: of many children hardly ever all go where their parents are.
    for (let family = 0; family < 8 || (family < 40 && !areApart()); family++) {
      const seed = 20_000 + 10 * family;
      const parent = workerOf(await chat(seed, extra, { [id]: `parent-${family}` }));
      const headers = { [id]: `child-${family}`, "x-dynamo-parent-session-id": `parent-${family}` };
      places.push({ parent, child: workerOf(await chat(seed + 1, extra, headers)) });
      const last = { [id]: `parent-${family}`, "x-dynamo-session-final": "true" };
      expect((await chat(seed + 2, extra, last)).body.usage.prompt_tokens).toBeGreaterThan(200);
      for (let turn = 3; turn < 6; turn++)
        expect(workerOf(await chat(seed + turn, extra, { [id]: `parent-${family}` }))).toBe(parent);
    }
    expect(areApart()).toBe(true);
  });

  test("its events tell which worker holds what", async () => {
    const resident = new ResidentPrefixes();
    const tokens: number[][] = [];
    const controller = new AbortController();
    const reading = (async () => {
      for await (const event of adapter.events?.(controller.signal) ?? []) {
        resident.observe(event);
        if (event.type === "block-stored" && event.parent === undefined) tokens.push([...event.tokens]);
      }
    })();
    await expect.poll(() => tokens.length).toBeGreaterThan(3);
    const sources = new Set(tokens.flatMap((prompt) => resident.find(prompt).map(({ source }) => source)));
    expect(sources.size).toBeGreaterThan(0);
    for (const source of sources) expect(server.events.map(({ endpoint }) => endpoint)).toContain(source);
    controller.abort();
    await reading;
  });

  test("a connection tells what each worker holds by its events, and counts their gaps", async () => {
    const sage = await CacheSage.connect(`${server.url}/v1`, {
      engine: "dynamo",
      engineOptions: { events: server.events },
    });
    const ends = server.events.map(({ endpoint }) => endpoint);
    const caches = () => sage.stats.caches;
    const held = () => caches().reduce((sum, { residentTokens }) => sum + residentTokens, 0);
    // What a publisher says before the subscription has reached it is lost.
    let seed = 9700;
    const heldAfterCall = () => chat(seed++).then(held);
    await expect.poll(heldAfterCall, { interval: 250 }).toBeGreaterThan(200);
    for (const cache of caches()) {
      expect(ends).toContain(cache.source);
      expect(cache.residentTokens).toBe(16 * cache.residentBlocks);
      expect(cache.residentBlocks).toBeLessThanOrEqual(512);
      expect(cache.gaps).toEqual({ lost: 0, restart: 0, unreadable: 0 });
    }
    // A cache that is full drops as much as it takes in.
    const stored = () => caches().reduce((sum, { storedBlocks }) => sum + storedBlocks, 0);
    const before = stored();
    await chat(9800);
    await expect.poll(stored).toBeGreaterThan(before + 200 / 16);
    process.stderr.write(
      `dynamo: lag of cache events ${caches().map(({ lagMs }) => lagMs?.toFixed(1))} ms\n`,
    );
    await sage.close();
    expect(sage.stats.faults).toBe(0);
  });

  test("a LangGraph.js team runs on it with hints on, and more is cached than without", async () => {
    const play = { url: `${server.url}/v1`, model: "tiny", anchorWords: 400, runs: 6 };
    const options = { engine: "dynamo" };
    const off = await playTeam({ ...play, options, seed: 3 });
    const on = await playTeam({ ...play, options: { ...options, cacheHints: true }, seed: 4 });
    expect([...off.statuses, ...on.statuses].filter((status) => status !== "completed")).toEqual([]);
    expect(on.stats.faults).toBe(0);
    expect(on.stats.hints["prefetch applied"]).toBeGreaterThan(3);
    process.stderr.write(`dynamo: cached share without hints ${off.cachedShare}, with ${on.cachedShare}\n`);
    expect(on.cachedShare).toBeGreaterThan(off.cachedShare);
  });
});
