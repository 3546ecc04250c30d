import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { EmbeddedEngine } from "../../src/embedded/index.ts";
import { ask, post, startNano, system, user, words } from "./nano.ts";

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await startNano({ schedulingPolicy: "priority", maxRunning: 2, chunkTokens: 64 });
});
afterAll(() => engine.close());
beforeEach(() => engine.reset());

const slow = (seed: number, count = 500) => [system(words(count, seed)), user("Go on.")];

/** Asks; the order in which the answers ended is kept. */
function asker(ended: string[]) {
  return (name: string, priority: number | null, seed: number, max_tokens: number, count?: number) =>
    ask(engine, slow(seed, count), { priority, max_tokens }).then((answer) => {
      ended.push(name);
      return answer;
    });
}

async function policyOf({ url }: EmbeddedEngine): Promise<unknown> {
  const response = await fetch(`${url}/health`);
  return ((await response.json()) as { scheduling_policy: unknown }).scheduling_policy;
}

test("a late urgent request is answered before earlier ones, takes a place, and no answer is another for it", async () => {
  const ended: string[] = [];
  const request = asker(ended);
  const alone = [await request("", 0, 1, 40), await request("", 0, 2, 40), await request("", 0, 3, 4)];
  await engine.reset();
  ended.length = 0;
  const early = [request("first", 5, 1, 40), request("second", null, 2, 40), request("waiting", 0, 4, 1)];
  await expect.poll(() => engine.stats().running, { interval: 1 }).toBe(2);
  await expect.poll(() => engine.stats().outputTokens, { interval: 1 }).toBeGreaterThan(0);
  const late = request("urgent", -5, 3, 4);
  const [one, two] = await Promise.all([...early, late]);
  const urgent = await late;
  expect([ended[0], ended.at(-1)]).toEqual(["urgent", "first"]);
  expect(engine.stats().preemptions).toBeGreaterThan(0);
  expect([one?.text, two?.text, urgent.text]).toEqual(alone.map(({ text }) => text));
});

test("a prompt that has begun pauses for a more urgent one, and goes on with what is computed", async () => {
  const ended: string[] = [];
  const request = asker(ended);
  // Some thirty steps, so that it is not through before the other one has come.
  const begun = request("begun", 1, 5, 1, 1300);
  await expect.poll(() => engine.stats().computedTokens, { interval: 0 }).toBeGreaterThan(0);
  const answers = await Promise.all([begun, request("urgent", 0, 6, 1)]);
  expect(ended).toEqual(["urgent", "begun"]);
  const { computedTokens, preemptions } = engine.stats();
  expect(preemptions).toBe(0);
  expect(computedTokens).toBe(answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0));
});

test("an urgent request that its client gives up lets the others go on", async () => {
  const controller = new AbortController();
  const ended: string[] = [];
  const request = asker(ended);
  const others = [request("first", 1, 7, 8), request("second", 1, 8, 8)];
  await expect.poll(() => engine.stats().running, { interval: 1 }).toBe(2);
  const urgent = ask(engine, slow(9), { priority: 0, max_tokens: 1000 }, controller.signal);
  await expect.poll(() => engine.stats().preemptions, { interval: 1 }).toBe(1);
  controller.abort();
  await expect(urgent).rejects.toThrow("abort");
  await Promise.all(others);
  expect(ended.toSorted()).toEqual(["first", "second"]);
  await engine.settle();
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});

test("an engine that serves first come first served refuses a priority, as vLLM does, and takes 0", async () => {
  const plain = await startNano();
  const messages = [user("Hello.")];
  const refused = await post(plain, "/chat/completions", { messages, priority: 1 });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: {
      code: "priority_scheduling_off",
      message: expect.stringContaining("--scheduling-policy priority"),
    },
  });
  expect((await ask(plain, messages, { priority: 0, max_tokens: 1 })).outputTokens).toBe(1);
  expect((await post(engine, "/chat/completions", { messages, priority: 0.5 })).status).toBe(400);
  expect([await policyOf(plain), await policyOf(engine)]).toEqual(["fcfs", "priority"]);
  await plain.close();
});
