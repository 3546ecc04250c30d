import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect, test } from "vitest";
import { channels } from "../../src/telemetry/channels.ts";
import { playWith } from "./scripted-sage.ts";

const broken = () => {
  throw new Error("broken");
};

test("a subscriber sees events, decisions and outcomes of a real app, and no text of its prompts", async () => {
  const seen: Record<string, unknown[]> = {};
  const names = ["event", "decision", "outcome", "decided", "fault"].map((name) => `cachesage:${name}`);
  const listen = (message: unknown, name: string | symbol) => void (seen[String(name)] ??= []).push(message);
  for (const name of names) subscribe(name, listen);
  const stats = await playWith([channels()], 2);
  for (const name of names) unsubscribe(name, listen);
  expect(Object.keys(seen).toSorted()).toEqual(names.slice(0, 4).toSorted());
  expect(seen["cachesage:outcome"]).toHaveLength(Object.values(stats.hints).reduce((a, b) => a + b, 0));
  expect(seen["cachesage:decided"]).toHaveLength(stats.decisionUs.length);
  expect(JSON.stringify(seen)).not.toMatch(/haiku|be brief/);
});

test("nothing is made where nobody listens", () => {
  const observer = channels().attach({
    engine: "e",
    clock: performance,
    cacheHints: true,
    stats: () => ({ openRuns: 0, nextAgent: { asked: 0, right: 0 } }),
  });
  expect(channel("cachesage:fault").hasSubscribers).toBe(false);
  expect(() => observer.fault?.("here", new Error("no"))).not.toThrow();
});

test("a telemetry that throws is a fault, counted, and changes nothing else", async () => {
  const seen: string[] = [];
  const stats = await playWith([
    { name: "broken", attach: () => ({ event: broken, decision: broken, outcome: broken, close: broken }) },
    { name: "sound", attach: () => ({ event: ({ type }) => void seen.push(type) }) },
  ]);
  expect(stats.faults).toBeGreaterThan(seen.length);
  expect(seen.filter((type) => type === "run-end")).toHaveLength(3);
  expect(stats.hints["retain applied"]).toBeGreaterThan(0);
});
