import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ShapeDrift } from "../../src/langgraph/shape-drift.ts";

const part = (text: string) => ({ hash: createHash("sha1").update(text).digest("hex"), length: text.length });

interface Sent {
  readonly anchor?: string;
  readonly run?: string;
  readonly history: readonly string[];
}

function warnings(sent: readonly Sent[]): readonly string[] {
  const told: string[] = [];
  const drift = new ShapeDrift((message) => void told.push(message));
  for (const [at, { anchor = "You plan.", run = "r", history }] of sent.entries())
    drift.observe({
      type: "request-start",
      at,
      agent: "planner",
      run,
      namespace: "",
      request: `q${at}`,
      prompt: { anchor: part(anchor), history: history.map(part) },
    });
  return told;
}

const steps = (item: string) => [{ history: [item] }, { history: [item, "look", "found"] }] as const;

const branch = (item: string) => [
  item,
  `draft of ${item}`,
  "Make it better.",
  `better ${item}`,
  "Shorten it.",
];
const calls = (item: string, most: number) => ({ history: branch(item).slice(0, most) });

test("an anchor that keeps changing is told once", () => {
  const sent = Array.from({ length: 8 }, (_, at) => ({ anchor: `It is 12:0${at}`, history: ["go"] }));
  const told = warnings(sent);
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/^agent "planner": its system message or its tools keep changing/);
});

test("two variants of an anchor and a history that only grows are no drift", () => {
  const history = ["task", "a", "b", "c", "d", "e", "f", "g"];
  const sent = history.map((_, at) => ({ anchor: `variant ${at % 2}`, history: history.slice(0, at + 1) }));
  expect(warnings(sent)).toEqual([]);
});

test("an earlier message that changes is told with its place, and so is a trimmed history", () => {
  const before = { history: ["task", "answer with thinking", "tool", "more"] };
  const stripped = { history: ["task", "answer", "tool", "more", "next"] };
  expect(warnings([before, stripped])).toEqual([expect.stringMatching(/message 2 of 4 of its history/)]);
  const trimmed = { history: ["tool", "more", "next"] };
  expect(warnings([before, trimmed])).toEqual([expect.stringMatching(/message 1 of 4 of its history/)]);
});

test("other runs, new conversations and parallel branches are no drift", () => {
  expect(
    warnings([
      { run: "r1", history: ["task", "a", "b"] },
      { run: "r2", history: ["task", "x", "b"] },
    ]),
  ).toEqual([]);
  expect(warnings([{ history: ["one", "a", "b"] }, { history: ["two", "x"] }])).toEqual([]);
  expect(warnings([{ history: ["task", "part 1"] }, { history: ["task", "part 2"] }])).toEqual([]);
});

test("parallel branches whose answers are alike are no drift", () => {
  const [[one, one2], [two, two2], [three, three2]] = [steps("one"), steps("two"), steps("three")];
  expect(warnings([one, two, three, one2, two2, three2])).toEqual([]);
});

test("parallel branches that are given the same instructions are no drift", () => {
  const items = ["one", "two", "three"];
  expect(warnings([1, 3, 5].flatMap((most) => items.map((item) => calls(item, most))))).toEqual([]);
  expect(warnings(items.flatMap((item) => [1, 3, 5].map((most) => calls(item, most))))).toEqual([]);
  expect(warnings([calls("one", 3), calls("two", 5), calls("three", 3)])).toEqual([]);
});

test("a history of which only the latest messages are left is told", () => {
  const before = { history: ["task", "a1", "u2", "a2", "u3"] };
  const summarised = { history: ["summary", "a2", "u3", "a3", "u4"] };
  expect(warnings([before, summarised])).toEqual([expect.stringMatching(/message 1 of 5 of its history/)]);
});
