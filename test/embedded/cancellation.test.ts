import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { EmbeddedEngine } from "../../src/embedded/index.ts";
import { ask, post, startNano, system, user, words } from "./nano.ts";

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startNano({ maxRunning: 2 });
});
afterAll(() => engine.close());
beforeEach(() => engine.reset());

const long = [system(words(700, 1)), user("Go on without end.")];

test.each([false, true])("a client that goes away frees its place at once (stream: %s)", async (stream) => {
  const controller = new AbortController();
  const body = { messages: long, max_tokens: 1000, stream };
  const response = post(engine, "/chat/completions", body, controller.signal).then((answer) => answer.text());
  await expect.poll(() => engine.stats().outputTokens, { interval: 5 }).toBeGreaterThan(3);
  controller.abort();
  await expect(response).rejects.toThrow("abort");
  await engine.settle();
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
  expect(engine.stats().outputTokens).toBeLessThan(500);
  const again = await ask(engine, long, { max_tokens: 1 });
  expect(again.cachedTokens).toBe(again.promptTokens - 1);
});

test("a request that is cancelled while its prompt is computed leaves that part in cache", async () => {
  const controller = new AbortController();
  const prompt = [system(words(1300, 3))];
  const response = ask(engine, prompt, {}, controller.signal);
  await expect.poll(() => engine.stats().computedTokens, { interval: 1 }).toBeGreaterThan(0);
  controller.abort();
  await expect(response).rejects.toThrow("abort");
  await engine.settle();
  const { computedTokens } = engine.stats();
  const again = await ask(engine, prompt, { max_tokens: 1 });
  expect(again.cachedTokens).toBe(Math.min(computedTokens, again.promptTokens - 1));
});

test("requests beyond maxRunning wait in order, and one that gives up while waiting costs nothing", async () => {
  const ended: number[] = [];
  const controller = new AbortController();
  const request = (index: number, signal?: AbortSignal) =>
    ask(engine, [user(words(10, index))], { max_tokens: 100 }, signal).then(() => ended.push(index));
  const first = [request(1), request(2)];
  await expect.poll(() => engine.stats().running, { interval: 1 }).toBe(2);
  const third = request(3, controller.signal);
  await expect.poll(() => engine.stats().waiting, { interval: 1 }).toBe(1);
  const fourth = request(4);
  controller.abort();
  await expect(third).rejects.toThrow("abort");
  await Promise.all([...first, fourth]);
  expect(ended.slice(0, 2).toSorted()).toEqual([1, 2]);
  expect(ended[2]).toBe(4);
  expect(engine.stats().outputTokens).toBe(300);
});

test("closing an engine ends its requests with an error that says so", async () => {
  const other = await startNano();
  const response = post(other, "/chat/completions", { messages: long, max_tokens: 1000 });
  await expect.poll(() => other.stats().running, { interval: 1 }).toBe(1);
  const [answer] = await Promise.all([response, other.close()]);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ error: { code: "engine_closed" } });
});
