import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CommonLead } from "../../src/runtime/common-lead.ts";
import type { PromptShape } from "../../src/runtime/event.ts";
import { LivePrefixes } from "../../src/runtime/live-prefixes.ts";

/** One message a letter, as long as its place in the alphabet. */
const prompt = (messages: string, anchor = "A"): PromptShape => ({
  anchor: { hash: anchor, length: 100 },
  history: Array.from(messages, (hash) => ({ hash, length: hash.charCodeAt(0) - 96 })),
});

test.each<[string, readonly (readonly [string, string, string?])[], number]>([
  [
    "one run tells nothing",
    [
      ["1", "abc"],
      ["1", "abcd"],
    ],
    0,
  ],
  [
    "two runs tell what they have in common",
    [
      ["1", "abc"],
      ["2", "abd"],
    ],
    2,
  ],
  [
    "a run that goes on tells no more",
    [
      ["1", "abc"],
      ["2", "abd"],
      ["2", "abde"],
    ],
    2,
  ],
  [
    "but less, when it drops messages",
    [
      ["1", "abc"],
      ["2", "abd"],
      ["2", "ad"],
    ],
    1,
  ],
  [
    "a third run may have more in common with the second",
    [
      ["1", "ab"],
      ["2", "acd"],
      ["3", "ace"],
    ],
    2,
  ],
  [
    "another system message begins anew",
    [
      ["1", "ab"],
      ["2", "ab"],
      ["3", "ab", "B"],
    ],
    0,
  ],
  [
    "nothing in common",
    [
      ["1", "a"],
      ["2", "b"],
    ],
    0,
  ],
])("%s", (_, prompts, messages) => {
  const lead = new CommonLead();
  for (const [run, text, anchor] of prompts) lead.observe(run, prompt(text, anchor));
  expect(lead.messages).toBe(messages);
});

/** Those that begin with + are of the message before. */
const pieces = (...hashes: readonly string[]): PromptShape => ({
  anchor: { hash: "A", length: 100 },
  history: hashes.map((hash) => ({ hash, length: 10, ...(hash.startsWith("+") && { continues: true }) })),
});

test("a message that only begins alike is not counted, however long its beginning is", () => {
  const lead = new CommonLead();
  lead.observe("1", pieces("example", "+more", "task", "+one", "+end"));
  lead.observe("2", pieces("example", "+more", "task", "+one", "+other"));
  expect([lead.messages, lead.characters]).toEqual([1, 20]);
  // What was a whole message goes on in the next one.
  lead.observe("3", pieces("example", "+more", "+still more"));
  expect([lead.messages, lead.characters]).toEqual([0, 0]);
});

test("all prompts of the latest two runs begin with it, and its characters are those of its messages", () => {
  const runs = fc.array(fc.tuple(fc.constantFrom("1", "2", "3"), fc.stringMatching(/^[ab]{0,5}$/)), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(runs, (prompts) => {
      const lead = new CommonLead();
      for (const [run, text] of prompts) lead.observe(run, prompt(text));
      const [run, latest] = prompts.at(-1) as [string, string];
      const first = prompts.findLastIndex(([other]) => other !== run);
      for (const [, text] of prompts.slice(Math.max(0, first)))
        expect(text.slice(0, lead.messages)).toBe(latest.slice(0, lead.messages));
      expect(first < 0 ? lead.messages : 0).toBe(0);
      const { history } = prompt(latest.slice(0, lead.messages));
      expect(lead.characters).toBe(history.reduce((sum, { length }) => sum + length, 0));
    }),
  );
});

test("the anchor of an agent has its tokens", () => {
  const prefixes = new LivePrefixes({ tokens: (characters) => characters, branch: () => 0 });
  const request = (run: string, messages: string) =>
    prefixes.observe({
      type: "request-start",
      at: 0,
      agent: "a",
      run,
      namespace: "",
      request: run,
      prompt: prompt(messages),
    });
  request("1", "abx");
  expect(prefixes.anchor("a")).toMatchObject({ tokens: 100, lead: 0 });
  request("2", "aby");
  expect(prefixes.anchor("a")).toMatchObject({ tokens: 103, lead: 2 });
});
