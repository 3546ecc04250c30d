import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EmbeddedEngine, HintReply } from "../../src/embedded/index.ts";
import { ask, hints, named, post, startNano, system, user, words } from "./nano.ts";

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startNano({ kvTokens: 1024 });
});
afterAll(() => engine.close());
beforeEach(() => engine.reset());

/** Prompts of about 300 tokens: three fit the budget of 1024. */
const prompt = (seed: number) => [system(words(220, seed)), user(words(8, seed + 50))];

async function outcomes(...actions: readonly (readonly [string, unknown])[]): Promise<HintReply["outcomes"]> {
  const response = await post(engine, "/kv_hints", hints(...actions));
  expect(response.status).toBe(200);
  return ((await response.json()) as HintReply).outcomes;
}

const cached = async (seed: number): Promise<number> =>
  (await ask(engine, prompt(seed), { max_tokens: 1 })).cachedTokens;

describe("envelopes", () => {
  test("each action has its outcome in order, and a bad one spoils no other", async () => {
    await ask(engine, prompt(1), named("run/R/A", "anchor/A"));
    const reply = await outcomes(
      ["kv.retain", { prefix: "run/R/A", value: 0.5 }],
      ["kv.retain", { prefix: "run/R/A", value: 7 }],
      ["kv.teleport", { prefix: "run/R/A" }],
      ["kv.pin", {}],
      ["kv.release", { prefix: "nobody" }],
      ["kv.cancel", { prefix: "run/R/A" }],
      ["kv.release", { prefix: "run/R/A" }],
    );
    expect(reply.map(({ action_id }) => action_id)).toEqual(reply.map((_, index) => `action-${index}`));
    expect(reply.map(({ status }) => status)).toEqual([
      "applied",
      "rejected",
      "rejected",
      "rejected",
      "ignored",
      "ignored",
      "applied",
    ]);
    for (const { reason } of reply.slice(1, 6)) expect(reason?.length).toBeGreaterThan(5);
    const metrics = await (await fetch(`${engine.url}/metrics`)).text();
    expect(metrics).toMatch(/cachesage_engine_hints_total\{verb="kv.retain",status="applied"[^}]*\} 2/);
  });

  test.each([
    ["no protocol version", { message_id: "m", actions: [] }],
    ["another protocol version", { protocol_version: "2", message_id: "m", actions: [] }],
    [
      "an action without an id",
      { protocol_version: "1", message_id: "m", actions: [{ action_type: "kv.pin" }] },
    ],
  ])("a bad envelope is refused: %s", async (_, body) => {
    expect((await post(engine, "/kv_hints", body)).status).toBe(400);
  });
});

describe("values", () => {
  test("under pressure the prefix of the lowest value goes, not the oldest", async () => {
    await ask(engine, prompt(1), named("run/1/A", "anchor/A", 0.9, 0));
    await ask(engine, prompt(2), named("run/2/B", "anchor/B", 0.1, 0));
    await ask(engine, prompt(3), named("run/3/C", "anchor/C", 0.5, 0));
    await ask(engine, prompt(4), named("run/4/D", "anchor/D", 0.6, 0));
    expect(await cached(1)).toBeGreaterThan(250);
    expect(await cached(2)).toBeLessThan(200);
  });

  test("of a prompt whose end is worth less, the end goes first", async () => {
    await ask(engine, prompt(1), named("run/1/A", "anchor/A", 0.4, 0));
    const { promptTokens } = await ask(engine, prompt(2), named("run/2/B", "anchor/B", 0.9, 0));
    await outcomes(["kv.retain", { prefix: "run/2/B", value: 0.9, tail: { tokens: 100, value: 0.1 } }]);
    for (const seed of [3, 4])
      await ask(engine, prompt(seed), named(`run/${seed}/C`, `anchor/${seed}`, 0.5, 0));
    expect(await cached(1)).toBeGreaterThan(promptTokens - 20);
    const kept = await cached(2);
    expect(kept).toBeLessThan(promptTokens - 50);
    expect(kept).toBeGreaterThan(promptTokens - 120);
    const [refused] = await outcomes([
      "kv.retain",
      { prefix: "run/2/B", value: 0.9, tail: { tokens: 0, value: 2 } },
    ]);
    expect(refused).toMatchObject({ status: "rejected", reason: expect.stringContaining("tail.value") });
  });

  test("an anchor outlives the run that brought it", async () => {
    const head = words(220, 1);
    const first = await ask(
      engine,
      [system(head), user(words(40, 1))],
      named("run/1/A", "anchor/A", 0.3, 0.9),
    );
    await outcomes(["kv.release", { prefix: "run/1/A" }]);
    for (let seed = 2; seed < 5; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, "anchor/B", 0.5, 0));
    const other = await ask(engine, [system(head), user(words(40, 9))]);
    expect(other.cachedTokens).toBeGreaterThan(first.promptTokens * 0.75);
    expect(other.cachedTokens).toBeLessThan(first.promptTokens);
  });

  test("a value said before the prefix exists counts when it does", async () => {
    await outcomes(["kv.retain", { prefix: "run/1/A", value: 0.9 }]);
    await ask(engine, prompt(1), named("run/1/A", "anchor/A"));
    for (let seed = 2; seed < 5; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, "anchor/B", 0.4));
    expect(await cached(1)).toBeGreaterThan(250);
  });

  test("evict erases at once, release only when room is needed", async () => {
    await ask(engine, prompt(1), named("run/1/A", "anchor/A"));
    await ask(engine, prompt(2), named("run/2/B", "anchor/B"));
    const before = engine.stats().residentTokens;
    await outcomes(["kv.release", { prefix: "run/1/A" }], ["kv.release", { prefix: "anchor/A" }]);
    expect(engine.stats().residentTokens).toBe(before);
    await outcomes(["kv.release", { prefix: "anchor/B" }]);
    const [evicted] = await outcomes(["kv.evict", { prefix: "run/2/B" }]);
    expect(evicted?.tokens).toBeGreaterThan(250);
    expect(engine.stats().residentTokens).toBe(before - (evicted?.tokens ?? 0));
    expect(await cached(1)).toBeGreaterThan(250);
    expect(await cached(2)).toBe(0);
  });

  test("a pin keeps what value would not, and too many pins are refused", async () => {
    await ask(engine, prompt(1), named("run/1/A", "anchor/A", 0));
    expect(await outcomes(["kv.pin", { prefix: "run/1/A" }])).toMatchObject([{ status: "applied" }]);
    for (let seed = 2; seed < 6; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, "anchor/B", 1));
    expect(await cached(1)).toBeGreaterThan(250);
    const pins = [4, 5].map((seed) => ["kv.pin", { prefix: `run/${seed}/B` }] as const);
    expect((await outcomes(...pins)).map(({ status }) => status)).toContain("rejected");
  });
});

const prefetch = (seed: number, prefix: string, value = 0.5) =>
  ["kv.prefetch", { prefix, anchor: `anchor/${prefix}`, value, body: { messages: prompt(seed) } }] as const;

describe("prefetch", () => {
  test("waits for room as long as its value rises, and takes it when it is worth more", async () => {
    for (let seed = 2; seed < 5; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, `anchor/${seed}`, 0.5, 0.5));
    const [, payload] = prefetch(1, "run/1/A", 0.1);
    const [outcome] = await outcomes([
      "kv.prefetch",
      {
        ...payload,
        later: [
          [60, 0.1],
          [120, 0.9],
        ],
      },
    ]);
    expect(outcome?.status).toBe("applied");
    expect(await cached(1)).toBe(outcome?.tokens);
  });

  test("gives up at once where its value never exceeds that of what is there", async () => {
    for (let seed = 2; seed < 5; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, `anchor/${seed}`, 0.5, 0.5));
    await outcomes(prefetch(9, "run/9/A", 0.1));
    const [outcome] = await outcomes(prefetch(1, "run/1/A", 0.1));
    expect(outcome).toMatchObject({ status: "ignored", tokens: 0 });
  });

  test("brings a prompt early; a request that hits it uses it, once", async () => {
    const [outcome] = await outcomes(prefetch(1, "run/1/A"));
    const computed = outcome?.tokens ?? 0;
    expect(outcome?.status).toBe("applied");
    expect(engine.stats().prefetch).toEqual({ computed, used: 0, wasted: 0 });
    expect(await cached(1)).toBe(computed);
    expect(await cached(1)).toBe(computed);
    expect(engine.stats().prefetch).toEqual({ computed, used: computed, wasted: 0 });
    await outcomes(["kv.evict", { prefix: "run/1/A" }], ["kv.evict", { prefix: "anchor/run/1/A" }]);
    expect(engine.stats().prefetch.wasted).toBe(0);
  });

  test("computes only what is missing, and nothing twice", async () => {
    const head = prompt(1)[0] as ReturnType<typeof system>;
    const { promptTokens } = await ask(engine, [head]);
    const [first] = await outcomes(prefetch(1, "run/1/A"));
    const [second] = await outcomes(prefetch(1, "run/1/A"));
    expect(first?.tokens).toBeLessThan(promptTokens / 4);
    expect(second).toMatchObject({ status: "applied", tokens: 0 });
  });

  test("is wasted when it is released, replaced or evicted before a request hit it", async () => {
    const [first] = await outcomes(prefetch(1, "run/1/A"));
    await outcomes(["kv.release", { prefix: "run/1/A" }], ["kv.release", { prefix: "anchor/run/1/A" }]);
    expect(engine.stats().prefetch.wasted).toBe(first?.tokens);
    await cached(1);
    expect(engine.stats().prefetch).toMatchObject({ used: 0, wasted: first?.tokens });
    await engine.reset();
    const [old] = await outcomes(prefetch(1, "run/1/A"));
    await outcomes(prefetch(2, "run/1/A"));
    expect(engine.stats().prefetch.wasted).toBe(old?.tokens);
    await engine.reset();
    const [victim] = await outcomes(prefetch(1, "run/1/A", 0.1));
    for (let seed = 2; seed < 6; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/B`, `anchor/${seed}`, 0.9, 0.9));
    expect(engine.stats().prefetch).toMatchObject({ used: 0, wasted: victim?.tokens });
  });

  test("displaces only what is worth less than itself", async () => {
    for (let seed = 1; seed < 4; seed++)
      await ask(engine, prompt(seed), named(`run/${seed}/A`, `anchor/${seed}`, 0.5, 0.5));
    const [low] = await outcomes(prefetch(7, "run/7/B", 0.4));
    expect(low?.reason).toContain("worth more");
    expect(engine.stats().evictedBlocks).toBe(0);
    const [high] = await outcomes(prefetch(8, "run/8/B", 0.6));
    expect(high).toMatchObject({ status: "applied" });
    expect(high?.reason).toBeUndefined();
    expect(await cached(8)).toBeGreaterThan(250);
  });

  test("makes way for requests and goes on when they are done", async () => {
    const pending = engine.applyHints(hints(prefetch(1, "run/1/A")));
    const answer = await ask(engine, prompt(2));
    expect(answer.cachedTokens).toBe(0);
    expect((await pending).outcomes).toMatchObject([{ status: "applied" }]);
    expect(await cached(1)).toBeGreaterThan(250);
  });

  test("the most valuable one goes first", async () => {
    const ended: number[] = [];
    const busy = ask(engine, prompt(9), { max_tokens: 30 });
    const fetches = [0.2, 0.8, 0.5].map((value, index) =>
      engine.applyHints(hints(prefetch(index + 1, `run/${index}/A`, value))).then(() => ended.push(value)),
    );
    await Promise.all([busy, ...fetches]);
    expect(ended).toEqual([0.8, 0.5, 0.2]);
  });

  test("is cancelled by its verb, by another of its prefix, by its request, by the caller and by reset", async () => {
    // Longer than all that is said meanwhile takes.
    const busy = async () => {
      const work = ask(engine, prompt(9), { max_tokens: 200 });
      await expect.poll(() => engine.stats().running, { interval: 1 }).toBe(1);
      return { work };
    };
    let { work } = await busy();
    const cancelled = engine.applyHints(hints(prefetch(1, "run/1/A")));
    expect(await outcomes(["kv.cancel", { prefix: "run/1/A" }])).toMatchObject([{ status: "applied" }]);
    expect((await cancelled).outcomes).toMatchObject([{ status: "cancelled", tokens: 0 }]);
    const replaced = engine.applyHints(hints(prefetch(1, "run/1/A")));
    const overtaken = engine.applyHints(hints(prefetch(2, "run/1/A")));
    expect((await replaced).outcomes).toMatchObject([{ status: "cancelled" }]);
    await Promise.all([work, ask(engine, prompt(2), named("run/1/A", "anchor/A"))]);
    expect((await overtaken).outcomes[0]?.reason).toContain("has arrived");
    ({ work } = await busy());
    const controller = new AbortController();
    const response = post(engine, "/kv_hints", hints(prefetch(3, "run/3/A")), controller.signal);
    const dropped = engine.applyHints(hints(prefetch(4, "run/4/A")));
    controller.abort();
    await expect(response).rejects.toThrow("abort");
    await Promise.all([work, engine.reset()]);
    expect((await dropped).outcomes).toMatchObject([{ status: "cancelled" }]);
    await engine.settle();
    expect(engine.stats().residentTokens).toBe(0);
  });

  test("cancelled at any moment, it holds no room afterwards", async () => {
    const head = system(words(220, 1));
    await ask(engine, [head, user("go")], named("run/0/A", "anchor/A"));
    for (let turns = 0; turns < 60; turns++) {
      const body = { messages: [head, user(words(60, turns + 100))] };
      const payload = { prefix: "run/1/A", anchor: "anchor/A", value: 0.9, anchor_value: 0.9, body };
      const ahead = engine.applyHints(hints(["kv.prefetch", payload]));
      for (let turn = 0; turn < turns % 20; turn++) await new Promise(setImmediate);
      await engine.applyHints(hints(["kv.cancel", { prefix: "run/1/A" }]));
      await ahead;
    }
    const whole = await ask(engine, [user(words(830, 7))], { max_tokens: 1 });
    expect(whole.promptTokens).toBeGreaterThan(900);
  });

  test("a prompt that cannot be one is rejected", async () => {
    const reply = await outcomes(
      ["kv.prefetch", { prefix: "p", value: 1, body: { messages: [] } }],
      ["kv.prefetch", { prefix: "p", value: 1 }],
      ["kv.prefetch", { prefix: "p", value: 1, body: { messages: [system(words(2500, 1))] } }],
    );
    expect(reply.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(reply[2]?.reason).toMatch(/\d{4} tokens, the context 2048/);
  });
});
