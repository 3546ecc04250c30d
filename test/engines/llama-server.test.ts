import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import definition from "../../src/engines/llama-server.ts";
import type { Hint, PrefetchHint } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { system, user, words } from "../embedded/nano.ts";
import { noLlamaServer, startLlamaServer } from "./real/llama-server.ts";
import type { RunningServer } from "./real/running-server.ts";
import { playTeam } from "./real/team.ts";

const create = (url: string) => definition.create(definition.options.parse({ url }));
const messagesOf = (seed: number) => [system(words(400, seed)), user("What now?")];
const prefetch = (run: string, agent: string, seed: number): PrefetchHint => ({
  type: "prefetch",
  prefix: { agent, run },
  value: 0.9,
  probability: 0.9,
  tokens: 500,
  body: { model: "nano", messages: messagesOf(seed) },
});

describe.skipIf(noLlamaServer)("a real llama-server", { timeout: 120_000 }, () => {
  let server: RunningServer;
  let adapter: EngineAdapter;
  beforeAll(async () => {
    server = await startLlamaServer();
    adapter = create(server.url);
    await adapter.connect();
  });
  afterAll(async () => {
    await adapter?.close();
    await server?.stop();
  });

  const call = (agent: string, run: string) => ({
    url: `${server.url}/v1/chat/completions`,
    identity: { agent, run, namespace: "" },
  });
  async function chat(seed: number, fields: object = {}) {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages: messagesOf(seed), max_tokens: 2, temperature: 0, ...fields }),
    });
    expect(response.status).toBe(200);
    const { usage } = (await response.json()) as {
      usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
    };
    return { prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details.cached_tokens };
  }
  const decorated = (agent: string, run: string) => adapter.decorate?.(call(agent, run), [])?.fields ?? {};

  test("connect tells version and model, and that slots can be erased", async () => {
    expect(await adapter.connect()).toMatchObject({
      engine: "llama-server",
      models: ["nano"],
      version: expect.stringMatching(/^b\d+/),
    });
    expect(adapter.supports).toMatchObject({ prefetch: "emulated", evict: "native" });
  });

  test("a prefetched prompt serves the request, which is sent to the same slot", async () => {
    const [outcome] = await adapter.apply([prefetch("r1", "writer", 1)]);
    expect(outcome?.status).toBe("applied");
    expect(outcome?.tokens).toBeGreaterThan(400);
    const { prompt, cached } = await chat(1, decorated("writer", "r1"));
    // What is left is the opening of the answer, which no prefetch can know to be next.
    expect(prompt - cached).toBeLessThan(16);
  });

  test("tokens are those of the server's own template", async () => {
    const tokens = await adapter.tokenize?.({ messages: messagesOf(1) });
    const { prompt } = await chat(1);
    expect(prompt - (tokens?.length ?? 0)).toBeLessThan(16);
    expect(prompt).toBeGreaterThanOrEqual(tokens?.length ?? 0);
  });

  test("a slot that is given up for a prefetch is saved, and comes back without being computed", async () => {
    const own = create(server.url);
    await own.connect();
    for (const [run, seed] of ["a", "b", "c", "d"].map((name, index) => [name, 20 + index] as const))
      expect(await own.apply([{ ...prefetch(run, `agent-${run}`, seed), value: 0.5 }])).toMatchObject([
        { status: "applied" },
      ]);
    await own.apply([{ type: "retain", prefix: { agent: "agent-a", run: "a" }, value: 0.1 }]);
    expect(await own.apply([prefetch("e", "agent-e", 30)])).toMatchObject([{ status: "applied" }]);
    await own.apply([{ type: "retain", prefix: { agent: "agent-e", run: "e" }, value: 0.05 }]);
    const [again] = await own.apply([{ ...prefetch("a", "agent-a", 20), value: 0.9 }]);
    expect(again?.status).toBe("applied");
    expect(again?.tokens).toBeLessThan(20);
    await own.close();
  });

  test("evict empties the slot, and pin keeps it from other prefixes", async () => {
    const own = create(server.url);
    await own.connect();
    const prefix = { agent: "pinned", run: "p" };
    await own.apply([prefetch("p", "pinned", 40)]);
    expect(await own.apply([{ type: "pin", prefix }])).toMatchObject([{ status: "applied" }]);
    const slot = own.decorate?.(call("pinned", "p"), [])?.fields?.["id_slot"];
    for (let run = 0; run < 12; run++) {
      const other = own.decorate?.(call(`other-${run}`, `o${run}`), [])?.fields?.["id_slot"];
      expect(other).toBeTypeOf("number");
      expect(other).not.toBe(slot);
    }
    const [evicted] = await own.apply([{ type: "evict", prefix }]);
    expect(evicted).toMatchObject({ status: "applied", tokens: expect.any(Number) });
    expect(evicted?.tokens).toBeGreaterThan(300);
    expect((await chat(40)).cached).toBeLessThan(20);
    await own.close();
  });

  test("the slot of any prompt under way is busy, also of one that is not its agent's first in the run", async () => {
    const own = create(server.url);
    await own.connect();
    const slots = Array.from({ length: 5 }, (_, branch) => {
      const prompt = { anchor: { hash: "system", length: 400 }, history: [] };
      const who = { run: "two", agent: "asker", namespace: "asker", request: `request ${branch}` };
      own.observe?.({ type: "request-start", at: performance.now(), ...who, prompt });
      const sent = { ...call("asker", "two"), request: who.request, branch };
      return own.decorate?.(sent, [])?.fields?.["id_slot"];
    });
    expect(new Set(slots.slice(0, 4)).size).toBe(4);
    expect(slots[4]).toBeUndefined();
    await own.close();
  });

  test("a prefetch stops between two steps when it is withdrawn", async () => {
    const own = create(server.url);
    await own.connect();
    const long = { ...prefetch("l", "long", 50), body: { messages: [system(words(3000, 50))] } };
    const controller = new AbortController();
    const pending = own.apply([long], controller.signal);
    controller.abort();
    expect(await pending).toMatchObject([{ status: "cancelled" }]);
    await own.close();
  });

  test("calls never fail that leave while the server closes the connections of other answers", async () => {
    const { fields, headers } = adapter.decorate?.(call("writer", "busy"), []) ?? {};
    const body = { messages: [user("Hello")], max_tokens: 12, stream: true, ...fields, id_slot: -1 };
    const request = { method: "POST", body: JSON.stringify(body), headers: { ...headers } };
    await Promise.all(
      Array.from({ length: 8 }, async (_, run) => {
        for (let turn = 0; turn < 12; turn++) {
          const response = await fetch(`${server.url}/v1/chat/completions`, request);
          expect((await response.text()).endsWith("[DONE]\n\n")).toBe(true);
          // A busy event loop sees late that a connection is closed.
          for (const end = performance.now() + 8; performance.now() < end;);
          await delay((7 * run) % 40);
        }
      }),
    );
  });

  test("its counters are told without what prefetches added to them", async () => {
    const own = create(server.url);
    await own.connect();
    await own.apply([prefetch("m", "counted", 60)]);
    const { prompt, cached } = await chat(60, own.decorate?.(call("counted", "m"), [])?.fields);
    expect(own.warmUps?.promptTokens).toBeGreaterThan(400);
    await expect
      .poll(async () => (await own.status?.())?.served)
      .toMatchObject({ promptTokens: prompt, cachedTokens: cached });
    await own.close();
  });

  test("without --slot-save-path evict is not offered, and nothing else is missing", async () => {
    await using other = await startLlamaServer({ savesSlots: false });
    const own = create(other.url);
    await own.connect();
    expect(own.supports).not.toHaveProperty("evict");
    expect(await own.apply([prefetch("x", "writer", 2)])).toMatchObject([{ status: "applied" }]);
    await own.close();
  });

  test("a LangGraph.js team runs on it with hints on: none fails, prefetches are used, more is cached", async () => {
    const options = { engine: "llama-server" };
    const off = await playTeam({ url: server.url, model: "nano", options, seed: 3 });
    const on = await playTeam({
      url: server.url,
      model: "nano",
      options: { ...options, cacheHints: true },
      seed: 4,
    });
    expect([...off.statuses, ...on.statuses].filter((status) => status !== "completed")).toEqual([]);
    expect(on.stats.faults).toBe(0);
    // How many depends on how busy the machine is.
    expect(on.stats.hints["prefetch applied"]).toBeGreaterThan(0);
    expect(on.cachedShare).toBeGreaterThan(off.cachedShare + 0.1);
  });
});

test("requests and hints of a server that is not there cost nothing but the hints", async () => {
  const adapter = create("http://127.0.0.1:9");
  await expect(adapter.connect()).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
  const hints: Hint[] = [prefetch("r", "a", 1), { type: "release", prefix: { agent: "a", run: "r" } }];
  expect(await adapter.apply(hints)).toMatchObject([{ status: "failed" }, { status: "ignored" }]);
  await adapter.close();
});
