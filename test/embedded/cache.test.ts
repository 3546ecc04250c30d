import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EmbeddedEngine } from "../../src/embedded/index.ts";
import { type Answer, ask, hints, startNano, system, user, words } from "./nano.ts";

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startNano();
});
afterAll(() => engine.close());
beforeEach(() => engine.reset());

const prompts = Array.from({ length: 10 }, (_, index) => [
  system(words(50 + index * 20, index)),
  user(words(10 + index * 3, index + 100)),
]);

const long = (seed: number) => [system(words(230, seed))];

describe("a greedy answer does not depend on what is cached", () => {
  test("asked cold, then again", async () => {
    for (const messages of prompts) {
      const cold = await ask(engine, messages);
      const warm = await ask(engine, messages);
      expect(cold.cachedTokens).toBe(0);
      expect(warm.cachedTokens).toBe(cold.promptTokens - 1);
      expect(warm.text).toBe(cold.text);
      expect(cold.text).toMatch(/^[ -~]+$/);
      expect(cold.outputTokens).toBe(12);
    }
  });

  test("started on a prefix that was copied from another sequence, which keeps its own", async () => {
    for (const [index, [head, question]] of prompts.entries()) {
      const cold = await ask(engine, [head, question] as never);
      await engine.reset();
      const other = [head, user(words(20, index + 500))] as never;
      const before = await ask(engine, other);
      const copied = await ask(engine, [head, question] as never);
      expect(copied.text).toBe(cold.text);
      expect(copied.cachedTokens).toBeGreaterThan(cold.promptTokens / 3);
      const again = await ask(engine, other);
      expect(again.text).toBe(before.text);
      expect(again.cachedTokens).toBe(before.promptTokens - 1);
      await engine.reset();
    }
  });

  test("started on a prefetched prompt", async () => {
    for (const messages of prompts) {
      const cold = await ask(engine, messages);
      await engine.reset();
      const payload = { prefix: "p", value: 0.5, body: { messages } };
      const reply = await engine.applyHints(hints(["kv.prefetch", payload]));
      expect(reply.outcomes).toMatchObject([{ status: "applied", tokens: cold.promptTokens - 1 }]);
      const warm = await ask(engine, messages);
      expect(warm.cachedTokens).toBe(cold.promptTokens - 1);
      expect(warm.text).toBe(cold.text);
      await engine.reset();
    }
  });

  test("computed together with others", async () => {
    const alone = [];
    for (const messages of prompts) alone.push(await ask(engine, messages));
    await engine.reset();
    const together = await Promise.all(prompts.map((messages) => ask(engine, messages)));
    expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
  });
});

test("another beginning gives another answer to the same question", async () => {
  const answers = new Set<string>();
  for (let seed = 0; seed < 5; seed++)
    answers.add((await ask(engine, [system(words(100, seed)), user("Go on.")])).text);
  expect(answers.size).toBeGreaterThan(1);
});

test("a conversation that grows reuses everything said before", async () => {
  const messages = [system(words(100, 1)), user(words(30, 2))];
  const first = await ask(engine, messages);
  const answer = { role: "assistant", content: first.text };
  const second = await ask(engine, [...messages, answer, user(words(30, 3))]);
  expect(second.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens);
});

test("counts agree with what the answers say", async () => {
  const answers: Answer[] = [];
  for (const messages of [...prompts, ...prompts]) answers.push(await ask(engine, messages));
  const sum = (of: (answer: Answer) => number): number =>
    answers.reduce((total, answer) => total + of(answer), 0);
  const stats = engine.stats();
  expect(stats.requests).toBe(20);
  expect(stats.promptTokens).toBe(sum(({ promptTokens }) => promptTokens));
  expect(stats.hitTokens).toBe(sum(({ cachedTokens }) => cachedTokens));
  expect(stats.computedTokens).toBe(stats.promptTokens - stats.hitTokens);
  expect(stats.outputTokens).toBe(sum(({ outputTokens }) => outputTokens));
  expect(stats.busyMs).toBeGreaterThan(0);
  expect(stats.residentTokens).toBeLessThanOrEqual(stats.capacityTokens);
});

test("reset forgets everything", async () => {
  await ask(engine, prompts[0] as never);
  await engine.reset();
  expect(engine.stats()).toMatchObject({ requests: 0, promptTokens: 0, residentTokens: 0, evictedBlocks: 0 });
  expect((await ask(engine, prompts[0] as never)).cachedTokens).toBe(0);
});

test("under a small budget the oldest prompt goes, and more requests than fit take turns", async () => {
  const small = await startNano({ kvTokens: 512, order: "lru", sequences: 4, maxRunning: 4 });
  try {
    const first = await ask(small, long(1));
    await ask(small, long(2));
    await ask(small, long(3));
    expect((await ask(small, long(3))).cachedTokens).toBe((await ask(small, long(3))).promptTokens - 1);
    expect((await ask(small, long(1))).cachedTokens).toBeLessThan(first.promptTokens / 2);
    expect(small.stats().evictedBlocks).toBeGreaterThan(0);
    const answers = await Promise.all(
      [4, 5, 6, 7].map((seed) => ask(small, long(seed), { max_tokens: 100 })),
    );
    expect(answers.map(({ outputTokens }) => outputTokens)).toEqual([100, 100, 100, 100]);
    expect(small.stats().residentTokens).toBeLessThanOrEqual(512);
    const alone = await ask(engine, long(6), { max_tokens: 100 });
    expect(answers[2]?.text).toBe(alone.text);
  } finally {
    await small.close();
  }
});

test("without prefix caching every request starts empty", async () => {
  const off = await startNano({ prefixCaching: false });
  try {
    const cold = await ask(off, prompts[0] as never);
    const again = await ask(off, prompts[0] as never);
    expect(again).toEqual(cold);
    expect(again.cachedTokens).toBe(0);
    expect(off.stats().residentTokens).toBe(0);
    const prefetch = hints(["kv.prefetch", { prefix: "p", value: 1, body: { messages: prompts[0] } }]);
    expect((await off.applyHints(prefetch)).outcomes).toMatchObject([{ status: "ignored" }]);
    expect((await ask(engine, prompts[0] as never)).text).toBe(cold.text);
  } finally {
    await off.close();
  }
});
