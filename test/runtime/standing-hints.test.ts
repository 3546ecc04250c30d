import { expect, test } from "vitest";
import type { Hint, RetainHint } from "../../src/runtime/action.ts";
import { StandingHints } from "../../src/runtime/standing-hints.ts";

const callOf = (agent: string, run: string, branch?: number) => ({
  identity: { agent, run, namespace: agent },
  ...(branch !== undefined && { branch }),
});
const place = callOf("a", "1");
const own = (value: number): RetainHint => ({ type: "retain", prefix: { agent: "a", run: "1" }, value });
const anchor: RetainHint = { type: "retain", prefix: { agent: "a" }, value: 0.5 };

test("a request carries the latest word on its own prefix, then on its agent's anchor", () => {
  const standing = new StandingHints();
  const latest = own(0.7);
  standing.note([anchor, own(0.2), { ...anchor, prefix: { agent: "b" } }]);
  standing.note([latest]);
  expect(standing.of(place)).toEqual([latest, anchor]);
  expect(standing.of(callOf("a", "2"))).toEqual([anchor]);
  expect(standing.of(callOf("c", "1"))).toEqual([]);
});

test("what is released is not carried; other hints change nothing", () => {
  const standing = new StandingHints();
  const cancel: Hint = { type: "cancel", prefix: { agent: "a" } };
  standing.note([own(0.2), anchor, cancel, { type: "release", prefix: { agent: "a", run: "1" } }]);
  expect(standing.of(place)).toEqual([anchor]);
  standing.note([{ type: "release", prefix: { agent: "a" } }]);
  expect(standing.of(place)).toEqual([]);
});

test("an agent's branches have a word each", () => {
  const standing = new StandingHints();
  const second: RetainHint = { type: "retain", prefix: { agent: "a", run: "1", branch: 1 }, value: 0.4 };
  standing.note([own(0.2), second]);
  expect(standing.of(place)).toEqual([own(0.2)]);
  expect(standing.of(callOf("a", "1", 0))).toEqual([own(0.2)]);
  expect(standing.of(callOf("a", "1", 1))).toEqual([second]);
  standing.note([{ type: "release", prefix: second.prefix }]);
  expect(standing.of(callOf("a", "1", 1))).toEqual([]);
  expect(standing.of(place)).toEqual([own(0.2)]);
});
