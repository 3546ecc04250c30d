import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Chain } from "../../src/embedded/cache/block.ts";
import type { Cache } from "../../src/embedded/cache/kv-cache.ts";
import type { GenerationResult } from "../../src/embedded/generation.ts";
import { Scheduler, type SchedulerOptions } from "../../src/embedded/scheduler.ts";
import { createPool, prompt, tokensOf } from "./pool.ts";

interface Planned {
  /** Steps after which it comes. */
  readonly at: number;
  readonly priority: number;
  readonly family: number;
  readonly length: number;
  readonly answer: number;
  /** Steps after which its client goes away. */
  readonly leavesAt?: number | undefined;
}

/** A prompt to compute ahead, for a request that comes later or has come. */
interface Ahead {
  readonly at: number;
  readonly request: number;
  readonly value: number;
  /** Whether its value rises, so that it waits for room. */
  readonly rises: boolean;
}

interface Setting extends SchedulerOptions {
  readonly blocks: number;
}

/** Tokens computed in one step, by request (-1: ahead), and the requests that could have been in it. */
interface Step {
  readonly present: ReadonlySet<number>;
  readonly computed: Map<number, number>;
}

interface Played {
  readonly answers: readonly (readonly number[])[];
  readonly results: readonly PromiseSettledResult<GenerationResult>[];
  readonly steps: readonly Step[];
  readonly preemptions: number;
}

const CHAINS = 16;
const promptOf = ({ family, length }: Planned, id: number) => prompt(family, id + 1, length);

/** A model that draws by all tokens before: with one of them wrong the answer is another. */
function draw(tokens: readonly number[]): number {
  return tokens.reduce((hash, token) => Math.imul(hash ^ token, 0x01000193) >>> 0, 17) % 1_000_003;
}

function answerAlone(planned: Planned, id: number): readonly number[] {
  const tokens = promptOf(planned, id);
  for (let i = 0; i < planned.answer; i++) tokens.push(draw(tokens));
  return tokens.slice(planned.length);
}

/** Plays requests on the scheduler and the block pool, with that model in the place of llama.cpp. */
async function play(
  requests: readonly Planned[],
  { blocks, ...options }: Setting,
  prefetches: readonly Ahead[] = [],
): Promise<Played> {
  const { pool } = createPool(blocks, "scored", CHAINS);
  const answers = requests.map((): number[] => []);
  const done: Promise<GenerationResult>[] = [];
  const clients = requests.map(() => new AbortController());
  const open = new Set<number>();
  const owners = new Map<Chain, number>();
  const steps: Step[] = [];
  const ahead: Promise<unknown>[] = [];
  const prefetch = ({ request, value, rises }: Ahead): void => {
    const id = request % requests.length;
    const tokens = promptOf(requests[id] as Planned, id);
    pool.owners.setValue(String(id), value, rises ? { later: [[1, 0.9]] } : undefined);
    ahead.push(scheduler.prefetch({ prefix: String(id), tokens, anchorLength: 0 }));
  };
  const come = (): void => {
    const id = done.length;
    const { answer, priority } = requests[id] as Planned;
    const request = {
      prompt: promptOf(requests[id] as Planned, id),
      anchorLength: 0,
      prefix: String(id),
      maxTokens: answer,
      priority,
      sampling: { temperature: 0, topP: 1, topK: 1, seed: 0 },
      onToken: (token: number) => (answers[id]?.push(token) ?? 0) < 0,
      isEnd: () => false,
    };
    const own = scheduler.generate(request, clients[id]?.signal).finally(() => open.delete(id));
    own.catch(() => {});
    open.add(id);
    done.push(own);
  };
  const cache: Cache = {
    pool,
    async open(tokens, given) {
      const opened = pool.open(tokens, given);
      if (opened) owners.set(opened.chain, given.isRequest ? Number(given.owner) : -1);
      return opened;
    },
    async evaluate(chain, tokens, sampling) {
      const all = tokensOf(chain);
      expect(all.slice(-tokens.length)).toEqual(tokens);
      steps.at(-1)?.computed.set(owners.get(chain) ?? -1, tokens.length);
      return sampling && draw(all);
    },
    async clear() {
      pool.clear();
    },
    // What comes between two steps, or while there is nothing to do, comes here.
    async erase() {
      steps.push({ present: new Set(open), computed: new Map() });
      const isIdle = scheduler.running + scheduler.waiting === 0;
      for (const [id, { leavesAt }] of requests.entries())
        if (leavesAt !== undefined && leavesAt <= steps.length) clients[id]?.abort(new Error("gone"));
      if (done.length < requests.length || open.size > 0)
        while ((prefetches[ahead.length]?.at ?? Infinity) <= steps.length)
          prefetch(prefetches[ahead.length] as Ahead);
      if (isIdle && done.length < requests.length) come();
      while (done.length < requests.length && (requests[done.length] as Planned).at <= steps.length) come();
    },
  };
  const scheduler = new Scheduler(cache, options);
  scheduler.wake();
  await expect.poll(() => done.length, { interval: 0 }).toBe(requests.length);
  const results = await Promise.allSettled(done);
  // Those for which there is still no room would wait for the time to pass.
  for (const { request } of prefetches) scheduler.cancelPrefetch(String(request % requests.length));
  await scheduler.settle();
  expect([scheduler.running, scheduler.waiting]).toEqual([0, 0]);
  expect(pool.chains.filter(({ running }) => running)).toEqual([]);
  const { preemptions } = scheduler.counters;
  await scheduler.close(new Error("closed"));
  for (const outcome of await Promise.all(ahead))
    expect(outcome).toMatchObject({ status: expect.stringMatching("applied|ignored|cancelled") });
  return { answers, results, steps, preemptions };
}

const planned = fc.record({
  at: fc.nat(30),
  priority: fc.integer({ min: -2, max: 2 }),
  family: fc.nat(2),
  length: fc.integer({ min: 1, max: 64 }),
  answer: fc.integer({ min: 1, max: 8 }),
});
const inOrder = <T extends Planned>(requests: readonly T[]) => requests.toSorted((a, b) => a.at - b.at);
const schedule = fc.array(planned, { minLength: 1, maxLength: 12 }).map(inOrder);
const leaving = fc
  .array(
    planned.chain((one) =>
      fc
        .record({ leavesAt: fc.option(fc.integer({ min: one.at, max: 60 }), { nil: undefined }) })
        .map((more) => ({
          ...one,
          ...more,
        })),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map(inOrder);
const prefetching = fc
  .array(
    fc.record({
      at: fc.nat(30),
      request: fc.nat(11),
      value: fc.double({ min: 0, max: 0.8, noNaN: true }),
      rises: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map((prefetches) => prefetches.toSorted((a, b) => a.at - b.at));
const setting = fc.record({
  schedulingPolicy: fc.constantFrom("fcfs" as const, "priority" as const),
  /** The longest request takes five, and one more where it parts from another one. */
  blocks: fc.integer({ min: 7, max: 24 }),
  maxRunning: fc.integer({ min: 1, max: 6 }),
  chunkTokens: fc.integer({ min: 16, max: 200 }),
  prefixCaching: fc.boolean(),
});

/** The answer, if it came to its end, or why it did not. */
function outcomeOf(result: PromiseSettledResult<GenerationResult>, answer: readonly number[] = []): unknown {
  if (result.status === "rejected") return (result.reason as Error).message;
  const { finishReason, outputTokens } = result.value;
  return finishReason === "length" && outputTokens === answer.length ? answer : result.value;
}

/** Everyone has the text of one who is alone, or has left. */
function expectAnswers(requests: readonly Planned[], { results, answers }: Played): void {
  expect(results.map((result, id) => outcomeOf(result, answers[id]))).toEqual(
    requests.map((one, id) =>
      results[id]?.status === "rejected" && one.leavesAt !== undefined ? "gone" : answerAlone(one, id),
    ),
  );
}

/** What each step computed, by request. */
async function stepsOf(requests: readonly Planned[], given: Setting): Promise<unknown> {
  return (await play(requests, given)).steps.map(({ computed }) => [...computed]);
}

test("everyone is answered, with the text of one who is alone, or leaves; nothing stays behind", async () => {
  let preemptions = 0;
  await fc.assert(
    fc.asyncProperty(leaving, setting, async (requests, given) => {
      const played = await play(requests, given);
      preemptions += played.preemptions;
      expectAnswers(requests, played);
    }),
    { numRuns: 200 },
  );
  expect(preemptions).toBeGreaterThan(0);
});

test("what is computed ahead changes no answer, and waits while anyone waits for a first token", async () => {
  let beside = 0;
  await fc.assert(
    fc.asyncProperty(leaving, setting, prefetching, async (requests, any, prefetches) => {
      const played = await play(requests, { ...any, prefixCaching: true }, prefetches);
      expectAnswers(requests, played);
      for (const { present, computed } of played.steps) {
        if (!computed.has(-1)) continue;
        const others = [...computed].filter(([id]) => id >= 0);
        expect(others.filter(([, tokens]) => tokens > 1)).toEqual([]);
        expect([...present].filter((id) => !computed.has(id))).toEqual([]);
        beside += Number(others.length > 0);
      }
    }),
    { numRuns: 200 },
  );
  expect(beside).toBeGreaterThan(0);
});

test("by priority, nobody is computed while a more urgent one has to wait", async () => {
  let preemptions = 0;
  await fc.assert(
    fc.asyncProperty(leaving, setting, async (requests, given) => {
      const roomy = { ...given, schedulingPolicy: "priority" as const, blocks: 100 };
      const played = await play(requests, roomy);
      preemptions += played.preemptions;
      const priorityOf = (id: number) => (requests[id] as Planned).priority;
      for (const { present, computed } of played.steps) {
        const least = Math.max(...[...computed.keys()].map((id) => priorityOf(id)));
        expect([...present].filter((id) => priorityOf(id) < least && !computed.has(id))).toEqual([]);
      }
    }),
    { numRuns: 200 },
  );
  expect(preemptions).toBeGreaterThan(0);
});

test("first come first served, and among equals by priority, no priority changes a step", async () => {
  await fc.assert(
    fc.asyncProperty(schedule, setting, fc.integer({ min: -5, max: 5 }), async (requests, any, same) => {
      // Longer steps are cut short only where somebody may have to go first.
      const given = { ...any, chunkTokens: Math.min(128, any.chunkTokens) };
      const inTurn = await stepsOf(requests, { ...given, schedulingPolicy: "fcfs" });
      const equals = requests.map((one) => ({ ...one, priority: same }));
      expect(await stepsOf(equals, { ...given, schedulingPolicy: "priority" })).toEqual(inTurn);
    }),
  );
});

test("of equal priority nobody gives up a place, and an urgent one takes that of the least urgent", async () => {
  const roomy = {
    blocks: 100,
    maxRunning: 2,
    chunkTokens: 64,
    prefixCaching: true,
    schedulingPolicy: "priority",
  } as const;
  const one = { at: 0, family: 0, length: 20, answer: 8 };
  const play3 = (priority: number) =>
    play(
      [
        { ...one, answer: 20, priority: 1 },
        { ...one, priority: 2 },
        { ...one, at: 4, priority },
      ],
      roomy,
    );
  expect((await play3(2)).preemptions).toBe(0);
  const { preemptions, steps } = await play3(0);
  expect(preemptions).toBe(1);
  const after = steps.filter(({ computed }) => computed.has(2));
  expect(after.map(({ computed }) => [...computed.keys()].toSorted())).toEqual(
    Array.from({ length: 8 }, () => [0, 2]),
  );
});
