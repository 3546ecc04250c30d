import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { z } from "zod";
import type { RequestSubject } from "../../src/runtime/call.ts";
import { Gate } from "../../src/runtime/gate.ts";
import { PolicyFaults } from "../../src/runtime/installed-policy.ts";
import { Ledger } from "../../src/runtime/ledger.ts";
import { definePolicy } from "../../src/runtime/policy.ts";
import { WaitingRoom } from "../../src/wire/waiting-room.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

/** A room in which one call is under way at a time. */
function room(budgetMs = 1000) {
  const definition = definePolicy({
    name: "one",
    description: "",
    subject: "request",
    actions: ["admit", "hold"],
    options: z.strictObject({}),
    create: () => ({
      act: (ranked, _predictions, { underWay }) =>
        ranked.map(({ item: call }, place) =>
          place + underWay < 1
            ? { type: "admit" as const, call }
            : { type: "hold" as const, call, forMs: Number.POSITIVE_INFINITY, reason: "full" },
        ),
    }),
  });
  const policy = definition.create({} as never);
  const gate = new Gate({
    clock: performance,
    policies: [{ definition, policy }],
    faults: new PolicyFaults((where, error) => {
      throw new Error(where, { cause: error });
    }),
    ledger: new Ledger(),
    budgetMs,
  });
  return new WaitingRoom(gate, performance);
}

const call = (id: string): RequestSubject => ({
  kind: "request",
  id,
  agent: "a",
  run: "r",
  at: performance.now(),
  anchor: "",
  anchorTokens: 0,
  tokens: 1,
});
const done = { status: "completed" } as const;

test("what nothing holds is answered at once, without a promise", () => {
  expect(room().ask(call("1"))).toMatchObject({ verdict: { type: "admit" } });
});

test("what is held goes when the call before it ends", async () => {
  const waiting = room();
  const first = call("1");
  waiting.ask(first);
  const second = waiting.ask(call("2"));
  waiting.leave(first, done);
  expect(await second).toMatchObject({ policy: "one", verdict: { type: "admit" } });
  expect(vi.getTimerCount()).toBe(0);
});

test("what is held goes when its budget of waiting is used up", async () => {
  const waiting = room(1000);
  waiting.ask(call("1"));
  const second = Promise.resolve(waiting.ask(call("2")));
  const settled = vi.fn<() => void>();
  void second.then(() => settled());
  await vi.advanceTimersByTimeAsync(990);
  expect(settled).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(20);
  expect(settled).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

test("an aborted call leaves at once, with the signal's reason, and the next takes its place", async () => {
  const waiting = room();
  const first = call("1");
  waiting.ask(first);
  const controller = new AbortController();
  const second = waiting.ask(call("2"), controller.signal);
  const third = waiting.ask(call("3"));
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(second).rejects.toBe(reason);
  waiting.leave(first, done);
  expect(await third).toMatchObject({ verdict: { type: "admit" } });
  expect(() => waiting.ask(call("4"), controller.signal)).toThrow(reason);
});

test("a call sent twice at once goes twice", async () => {
  const waiting = room();
  const first = call("1");
  waiting.ask(first);
  const twins = [waiting.ask(call("2")), waiting.ask(call("2"))];
  waiting.leave(first, done);
  expect(await Promise.all(twins)).toMatchObject([{ policy: "one" }, { policy: "one" }]);
});

test("when one of two that wait for a call is given up, the other one still goes", async () => {
  for (const aborted of [0, 1]) {
    const waiting = room();
    const first = call("1");
    waiting.ask(first);
    const signals = [new AbortController(), new AbortController()];
    const twins = signals.map(({ signal }) => Promise.resolve(waiting.ask(call("2"), signal)));
    signals[aborted]?.abort(new Error("enough"));
    await expect(twins[aborted]).rejects.toThrow("enough");
    waiting.leave(first, done);
    expect(await twins[1 - aborted]).toMatchObject({ policy: "one" });
  }
});

test("closing lets everyone go, and nobody waits after it", async () => {
  const waiting = room();
  waiting.ask(call("1"));
  const second = waiting.ask(call("2"));
  waiting.close();
  expect(await second).toMatchObject({ verdict: { type: "admit" } });
  expect(waiting.ask(call("3"))).toMatchObject({ verdict: { type: "admit" } });
  expect(vi.getTimerCount()).toBe(0);
});
