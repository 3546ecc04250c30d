import { expect, test } from "vitest";
import type { Action } from "../../src/runtime/action.ts";
import { Ledger } from "../../src/runtime/ledger.ts";

const release = (agent: string): Action => ({ type: "release", prefix: { agent } });

test("keeps the newest decisions, newest first", () => {
  const ledger = new Ledger(3);
  for (const agent of ["a", "b", "c", "d"]) ledger.record(1, "p", "r", release(agent));
  expect([...ledger].map(({ action }) => "prefix" in action && action.prefix.agent)).toEqual(["d", "c", "b"]);
  expect(ledger.count).toBe(4);
});

test("an outcome finds its decision; unknown actions are ignored", () => {
  const ledger = new Ledger();
  const action = release("a");
  ledger.record(1, "p", "r", action);
  ledger.settle(action, { status: "applied", tokens: 7 });
  ledger.settle(release("a"), { status: "failed" });
  expect([...ledger].map(({ outcome }) => outcome)).toEqual([{ status: "applied", tokens: 7 }]);
});
