import { afterAll, beforeAll, describe, expect, test } from "vitest";
import definition from "../../src/engines/vllm.ts";
import type { CacheEvent } from "../../src/runtime/cache-event.ts";
import type { PrefetchHint } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { ResidentPrefixes } from "../wire/resident-prefixes.ts";
import { system, user, words } from "../embedded/nano.ts";
import { playTeam } from "./real/team.ts";
import { noVllm, startVllm, type VllmServer } from "./real/vllm.ts";

const messagesOf = (seed: number) => [system(words(300, seed)), user("What now?")];
const prefetch = (seed: number): PrefetchHint => ({
  type: "prefetch",
  prefix: { agent: `agent-${seed}`, run: "r" },
  value: 0.9,
  probability: 0.9,
  tokens: 400,
  body: { model: "tiny", messages: messagesOf(seed) },
});

describe.skipIf(noVllm)("a real vLLM", { timeout: 120_000 }, () => {
  let server: VllmServer;
  let adapter: EngineAdapter;
  beforeAll(async () => {
    server = await startVllm();
    adapter = definition.create(definition.options.parse({ url: `${server.url}/v1`, priority: true }));
  }, 250_000);
  afterAll(async () => {
    await adapter?.close();
    await server?.stop();
  });

  async function chat(seed: number) {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", messages: messagesOf(seed), max_tokens: 2, temperature: 0 }),
    });
    expect(response.status).toBe(200);
    const { usage } = (await response.json()) as {
      usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
    };
    return { prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details.cached_tokens };
  }

  test("connect tells version, model and block size", async () => {
    expect(await adapter.connect()).toEqual({
      engine: "vllm",
      version: expect.stringMatching(/^\d+\.\d+/),
      models: ["tiny"],
      blockTokens: 32,
    });
  });

  test("a prefetched prompt serves the request but for its last block", async () => {
    const [outcome] = await adapter.apply([prefetch(1)]);
    expect(outcome).toMatchObject({ status: "applied" });
    expect(outcome?.tokens).toBeGreaterThan(200);
    const { prompt, cached } = await chat(1);
    expect(prompt - cached).toBeLessThanOrEqual(32);
    const [again] = await adapter.apply([prefetch(1)]);
    expect(again?.tokens).toBeLessThanOrEqual(32);
  });

  test("its events tell what is resident, block by block, and what is not any more", async () => {
    const resident = new ResidentPrefixes();
    const seen: CacheEvent[] = [];
    const controller = new AbortController();
    const reading = (async () => {
      for await (const event of adapter.events?.(controller.signal) ?? []) {
        seen.push(event);
        resident.observe(event);
      }
    })();
    // What was computed before this stream began comes with the replay.
    const first = (await adapter.tokenize?.({ model: "tiny", messages: messagesOf(1) })) ?? [];
    await expect.poll(() => resident.find(first)[0]?.tokens).toBeGreaterThan(200);
    const { prompt, cached } = await chat(2);
    expect(cached).toBeLessThan(prompt / 2);
    const second = (await adapter.tokenize?.({ model: "tiny", messages: messagesOf(2) })) ?? [];
    const whole = Math.floor(second.length / 32) * 32;
    await expect.poll(() => resident.find(second)[0]?.tokens).toBe(whole);
    expect(resident.find(second)[0]?.media).toEqual(["GPU"]);
    for (let seed = 100; seed < 130; seed++) await chat(seed);
    await expect.poll(() => resident.find(second)[0]?.tokens ?? 0).toBeLessThan(whole);
    const held = resident.find(second)[0]?.tokens ?? 0;
    expect((await chat(2)).cached).toBe(held);
    expect(seen.filter(({ type }) => type === "gap")).toEqual([]);
    controller.abort();
    await reading;
  });

  test("its counters are told without what warm-ups added to them", async () => {
    const own = definition.create(definition.options.parse({ url: server.url }));
    await own.connect();
    await own.apply([prefetch(200), prefetch(201)]);
    const { prompt, cached } = await chat(200);
    expect(own.warmUps).toMatchObject({ requests: 2 });
    // The counters are written after the answer has left.
    await expect
      .poll(async () => (await own.status?.())?.served)
      .toEqual({ requests: 1, promptTokens: prompt, cachedTokens: cached });
    await own.close();
  });

  test("a salt keeps caches apart, and a field it does not know is ignored", async () => {
    const options = definition.options.parse({ url: server.url, cacheSalt: "tenant-a", kvHints: true });
    const salted = definition.create(options);
    await salted.apply([prefetch(300)]);
    expect((await chat(300)).cached).toBeLessThan(64);
    await salted.close();
  });

  test("a LangGraph.js team runs on it with hints on, and more is cached than without", async () => {
    const play = { url: `${server.url}/v1`, model: "tiny", anchorWords: 500, runs: 3 };
    const options = { engine: "vllm", engineOptions: { priority: true } };
    const off = await playTeam({ ...play, options, seed: 3 });
    const on = await playTeam({ ...play, options: { ...options, cacheHints: true }, seed: 4 });
    expect([...off.statuses, ...on.statuses].filter((status) => status !== "completed")).toEqual([]);
    expect(on.stats.faults).toBe(0);
    expect(on.stats.hints["prefetch applied"]).toBeGreaterThan(3);
    process.stderr.write(`vllm: cached share without hints ${off.cachedShare}, with ${on.cachedShare}\n`);
    expect(on.cachedShare).toBeGreaterThan(off.cachedShare);
  });
});
