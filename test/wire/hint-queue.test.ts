import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Hint, Outcome, PrefetchHint } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import type { RequestStartEvent } from "../../src/runtime/event.ts";
import { HintQueue } from "../../src/wire/hint-queue.ts";

type Apply = EngineAdapter["apply"];

function queue(apply: Apply, supports: EngineAdapter["supports"] = everything) {
  const outcomes: [Hint, Outcome][] = [];
  const hints = new HintQueue({
    adapter: {
      specificationVersion: "v1",
      name: "test",
      baseURL: "http://127.0.0.1:1/v1",
      supports,
      connect: async () => ({ engine: "test", models: [] }),
      apply,
      close: async () => {},
    },
    compose: () => ({ messages: [] }),
    onOutcome: (hint, outcome) => outcomes.push([hint, outcome]),
  });
  return { hints, outcomes };
}

const everything = { retain: "native", release: "native", prefetch: "native" } as const;
const retain = (agent: string, value: number): Hint => ({ type: "retain", prefix: { agent }, value });
const prefetch = (agent: string, tokens: number): Hint => ({
  type: "prefetch",
  prefix: { agent, run: "1" },
  value: 0.5,
  probability: 0.5,
  tokens,
});
const probable = (agent: string, probability: number) =>
  ({ ...prefetch(agent, 10), probability }) as PrefetchHint;
const untilAborted = (signal?: AbortSignal) =>
  new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));

test("sends the last word on each prefix, together", async () => {
  const sent: (readonly Hint[])[] = [];
  const { hints, outcomes } = queue(async (batch) => {
    sent.push(batch);
    return batch.map(() => ({ status: "applied" }));
  });
  hints.push([retain("a", 0.1), retain("b", 0.2)]);
  hints.push([retain("a", 0.9)]);
  await hints.idle();
  expect(sent).toEqual([[retain("a", 0.9), retain("b", 0.2)]]);
  expect(outcomes.map(([, { status }]) => status).toSorted()).toEqual(["applied", "applied", "ignored"]);
});

test("a verb the engine lacks is never sent", async () => {
  const sent: Hint[] = [];
  const { hints, outcomes } = queue(
    async (batch) => {
      sent.push(...batch);
      return batch.map(() => ({ status: "applied" }));
    },
    { retain: "native" },
  );
  hints.push([prefetch("a", 10), retain("a", 1)]);
  await hints.idle();
  expect(sent.map(({ type }) => type)).toEqual(["retain"]);
  expect(outcomes.find(([{ type }]) => type === "prefetch")?.[1].status).toBe("ignored");
});

test("cancel aborts the prefetch under way", async () => {
  let aborted = false;
  const { hints, outcomes } = queue(async (batch, signal) => {
    await untilAborted(signal);
    aborted = true;
    return batch.map(() => ({ status: "cancelled", tokens: 5 }));
  });
  hints.push([prefetch("a", 10)]);
  hints.push([{ type: "cancel", prefix: { agent: "a", run: "1" } }]);
  await hints.idle();
  expect(aborted || outcomes.some(([, { status }]) => status === "cancelled")).toBe(true);
});

test("a longer prompt replaces the prefetch of the same prefix, a shorter one does not", async () => {
  const sent: Hint[] = [];
  let release: (() => void) | undefined;
  const { hints } = queue(async (batch, signal) => {
    if (batch[0]?.type === "prefetch") {
      sent.push(...batch);
      await Promise.race([untilAborted(signal), new Promise<void>((resolve) => (release = resolve))]);
    }
    return batch.map(() => ({ status: "applied" }));
  });
  hints.push([prefetch("a", 100)]);
  await new Promise((resolve) => setImmediate(resolve));
  hints.push([prefetch("a", 200)]);
  hints.push([prefetch("a", 228)]);
  await new Promise((resolve) => setImmediate(resolve));
  release?.();
  await hints.idle();
  expect(sent.map((hint) => (hint.type === "prefetch" ? hint.tokens : 0))).toEqual([100, 228]);
});

test("close gives up on an adapter that never answers", async () => {
  const { hints, outcomes } = queue(() => new Promise(() => {}));
  hints.push([retain("a", 1), prefetch("a", 10)]);
  await new Promise((resolve) => setImmediate(resolve));
  await hints.close();
  hints.push([retain("b", 1)]);
  await hints.close();
  expect(outcomes.map(([, { status }]) => status)).toEqual(["cancelled", "cancelled"]);
});

test("whatever an adapter does, every hint gets one outcome and nothing is thrown", async () => {
  const behaviour = fc.constantFrom<Apply>(
    async () => [],
    async () => JSON.parse("null") as Outcome[],
    async () => JSON.parse('{"length": 3}') as Outcome[],
    () => Promise.reject(new Error("boom")),
    () => {
      throw new Error("boom");
    },
    async (batch) => batch.map(() => ({ status: "applied" })),
  );
  await fc.assert(
    fc.asyncProperty(behaviour, fc.array(fc.nat(3), { maxLength: 12 }), async (apply, agents) => {
      const { hints, outcomes } = queue(apply);
      for (const agent of agents)
        hints.push([agent % 2 === 0 ? retain(`${agent}`, 0.5) : prefetch(`${agent}`, agent)]);
      await hints.idle();
      expect(outcomes.length).toBe(agents.length);
    }),
  );
});

const later = (tokens: number, afterMs: number): Hint => ({ ...prefetch("a", tokens), afterMs }) as Hint;

test("a prefetch whose time has not come waits, gives way to a newer one and leaves with the queue", async () => {
  const sent: number[] = [];
  const { hints, outcomes } = queue(async (batch) => {
    for (const hint of batch) if (hint.type === "prefetch") sent.push(hint.tokens);
    return batch.map(() => ({ status: "applied" }));
  });
  hints.push([later(100, 60_000)]);
  hints.push([later(110, 5)]);
  await hints.idle();
  expect(sent).toEqual([]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  await hints.idle();
  expect(sent).toEqual([110]);
  hints.push([later(120, 60_000)]);
  await hints.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual([110]);
  expect(outcomes.map(([, { status }]) => status).toSorted()).toEqual(["applied", "cancelled", "cancelled"]);
});

test("what waited is sent as it would be decided by then", async () => {
  const sent: Hint[] = [];
  const { hints } = queue(async (batch) => {
    sent.push(...batch);
    return batch.map(() => ({ status: "applied" }));
  });
  // Rises by 0.1 in ten seconds, then by 0.4 in ten.
  const course = [
    [10_000, 0.6],
    [20_000, 1],
  ] as const;
  hints.push([{ ...prefetch("a", 10), afterMs: 40, later: course } as Hint]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  await hints.idle();
  const [hint] = sent as [PrefetchHint];
  const [first, second] = hint.later as NonNullable<PrefetchHint["later"]>;
  const waited = 10_000 - (first?.[0] ?? 0);
  expect(waited).toBeGreaterThan(30);
  expect(waited).toBeLessThan(5000);
  expect(hint.value).toBeCloseTo(0.5 + (0.1 * waited) / 10_000);
  expect(second).toEqual([expect.closeTo(20_000 - waited), 1]);
});

test("a prefetch that is under way already tells the engine what it is worth by now", async () => {
  const sent: Hint[] = [];
  let release: (() => void) | undefined;
  const { hints, outcomes } = queue(async (batch) => {
    sent.push(...batch);
    if (batch[0]?.type === "prefetch") await new Promise<void>((resolve) => (release = resolve));
    return batch.map(() => ({ status: "applied" }));
  });
  hints.push([prefetch("a", 100)]);
  await new Promise((resolve) => setImmediate(resolve));
  hints.push([{ ...prefetch("a", 110), value: 0.8 } as Hint]);
  await new Promise((resolve) => setImmediate(resolve));
  release?.();
  await hints.idle();
  expect(sent.slice(1)).toEqual([{ type: "retain", prefix: { agent: "a", run: "1" }, value: 0.8 }]);
  expect(outcomes.map(([, { status }]) => status)).toEqual(["ignored", "applied"]);
});

test("a prefetch that is withdrawn while it waits for a place leaves at once, and the likeliest goes first", async () => {
  const composed: string[] = [];
  const ends: (() => void)[] = [];
  const outcomes: string[] = [];
  const hints = new HintQueue({
    adapter: {
      specificationVersion: "v1",
      name: "test",
      baseURL: "http://127.0.0.1:1/v1",
      supports: everything,
      prefetchesAtOnce: 1,
      connect: async () => ({ engine: "test", models: [] }),
      apply: async (batch) => {
        await new Promise<void>((resolve) => void ends.push(resolve));
        return batch.map(() => ({ status: "applied" }));
      },
      close: async () => {},
    },
    compose: ({ prefix }) => {
      composed.push(prefix.agent);
      return { messages: [] };
    },
    onOutcome: ({ type, prefix }, { status }) => outcomes.push(`${type} ${prefix.agent} ${status}`),
  });
  hints.push([
    probable("first", 0.1),
    probable("unlikely", 0.2),
    probable("gone", 0.5),
    probable("likely", 0.9),
  ]);
  await Promise.resolve();
  hints.push([{ type: "cancel", prefix: { agent: "gone", run: "1" } }]);
  expect(outcomes).toEqual(["prefetch gone cancelled", "cancel gone applied"]);
  const idle = hints.idle();
  for (let ended = 0; ended < 3; ended++) {
    await expect.poll(() => ends.length).toBe(ended + 1);
    ends[ended]?.();
  }
  await idle;
  expect(composed).toEqual(["first", "likely", "unlikely"]);
  expect(outcomes.slice(2)).toEqual(
    ["first", "likely", "unlikely"].map((name) => `prefetch ${name} applied`),
  );
});

test("what is prefetched for a run is withdrawn when the run ends, wherever it is", async () => {
  const signals: (AbortSignal | undefined)[] = [];
  const { hints, outcomes } = queue(async (batch, signal) => {
    signals.push(signal);
    await untilAborted(signal);
    return batch.map(() => ({ status: "applied" }));
  });
  const many = Array.from({ length: 20 }, (_, i) => prefetch(`agent ${i}`, 10));
  const waits = { ...prefetch("waits", 10), afterMs: 60_000 } as PrefetchHint;
  hints.push([...many, waits]);
  await expect.poll(() => signals.length).toBe(16);
  hints.push([], [{ type: "run-end", at: 0, run: "another", status: "completed" }]);
  expect(outcomes).toEqual([]);
  hints.push([], [{ type: "run-end", at: 0, run: "1", status: "completed" }]);
  await hints.idle();
  expect(outcomes).toHaveLength(21);
  expect(new Set(outcomes.map(([, { status }]) => status))).toEqual(new Set(["cancelled"]));
  expect(signals).toHaveLength(16);
});

const started = (agent: string): RequestStartEvent => ({
  type: "request-start",
  at: 0,
  request: agent,
  run: "1",
  agent,
  step: 1,
  namespace: "",
  prompt: { anchor: { hash: agent, length: 10 }, history: [] },
});

test("a prefetch whose request has come is withdrawn, sent or not; others stay", async () => {
  const sent: string[] = [];
  const { hints, outcomes } = queue(async (batch, signal) => {
    sent.push(...batch.map(({ prefix }) => prefix.agent));
    await untilAborted(signal);
    return batch.map(() => ({ status: "applied" }));
  });
  const waits = { ...prefetch("later", 10), afterMs: 60_000 } as PrefetchHint;
  hints.push([prefetch("now", 10), prefetch("other", 10), waits]);
  await expect.poll(() => sent).toEqual(["now", "other"]);
  hints.push([], [started("now"), started("later"), { ...started("other"), run: "2" }]);
  await expect.poll(() => outcomes.map(([hint]) => hint.prefix.agent).toSorted()).toEqual(["later", "now"]);
  expect(outcomes.every(([, { status }]) => status === "cancelled")).toBe(true);
  // What this very request has led to is not taken for what came before it.
  hints.push([prefetch("again", 10)], [started("again")]);
  await expect.poll(() => sent).toEqual(["now", "other", "again"]);
  await hints.close();
});

test("a prefetch of one branch is withdrawn when its agent calls, whichever it goes on with", async () => {
  const { hints, outcomes } = queue(async (batch, signal) => {
    await untilAborted(signal);
    return batch.map(() => ({ status: "cancelled" }));
  });
  const branch: Hint = { ...prefetch("a", 10), prefix: { agent: "a", run: "1", branch: 2 } } as Hint;
  const calls: RequestStartEvent = {
    type: "request-start",
    at: 0,
    agent: "a",
    run: "1",
    namespace: "",
    request: "q",
    prompt: { anchor: { hash: "", length: 0 }, history: [] },
  };
  hints.push([branch]);
  hints.push([], [calls]);
  await hints.idle();
  expect(outcomes).toEqual([[branch, expect.objectContaining({ status: "cancelled" })]]);
});
