import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answerOf, promptText } from "../../../src/runtime/prompt-text.ts";
import { MessageTrace, placeOf } from "../../../src/sim/message-blocks.ts";
import { TraceError } from "../../../src/errors.ts";
import { shared } from "./trace-file.ts";

const BLOCK = 64;

function newTrace(): MessageTrace {
  return new MessageTrace({
    file: "f",
    name: "f",
    records: (async function* () {})(),
    fail: (line, problem) => new TraceError("f", line, problem),
  });
}

/** Characters that two texts have in common at their start. */
function prefix(a: string, b: string): number {
  let same = 0;
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same++;
  return same;
}

/** Few different characters, so that texts often agree for a while; the frame's own are among them. */
const content = fc.string({
  unit: fc.constantFrom("a", "b", "\ue000", "\ue001", "\ue002", "\ue003"),
  maxLength: 200,
});
const message = fc.record({ role: fc.constantFrom("system", "user", "assistant"), content });
const messages = fc.array(message, { minLength: 1, maxLength: 5 });
/** Prompts that begin alike, and part in the middle of a message or between two. */
const pair = fc.tuple(messages, messages, messages).map(
  ([head, one, other]) =>
    [
      [...head, ...one],
      [...head, ...other],
    ] as const,
);

describe("prompts as blocks", () => {
  it("give equal blocks for equal text and share as many as their texts share", () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const trace = newTrace();
        const [a, b] = [promptText(one), promptText(other)];
        if (!a || !b) throw new Error("no prompt");
        const [first, second, again] = [trace.blocks(a), trace.blocks(b), trace.blocks(a)];
        expect(first).toEqual(again);
        expect(first.blocks).toHaveLength(Math.floor(a.text.length / BLOCK));
        const same = prefix(a.text, b.text);
        expect(shared(first.blocks, second.blocks)).toBe(Math.floor(same / BLOCK));
        const after = second.blocks.slice(Math.floor(same / BLOCK));
        expect(after.some((id) => first.blocks.includes(id))).toBe(false);
      }),
    );
  });

  it("have different texts exactly when they are different", () => {
    const short = fc.array(
      fc.record({
        role: fc.constantFrom("u", "s"),
        content: fc.string({
          unit: fc.constantFrom("u", "\ue000", "\ue001", "\ue002", "\ue003"),
          maxLength: 4,
        }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(short, short, (one, other) => {
        const isSame = JSON.stringify(one) === JSON.stringify(other);
        expect(promptText(one)?.text === promptText(other)?.text).toBe(isSame);
      }),
      { numRuns: 2000 },
    );
  });

  it("begin like the prompt that they continue", () => {
    fc.assert(
      fc.property(messages, messages, (head, more) => {
        const [before, after] = [promptText(head), promptText([...head, ...more])];
        const isAllAnchor = head.every(({ role }) => role === "system");
        expect(isAllAnchor || after?.text.startsWith(before?.text ?? "?")).toBe(true);
        expect(after?.text.startsWith(after.anchor)).toBe(true);
      }),
    );
  });

  it("are anchored by leading system messages and tools, and by nothing behind them", () => {
    const tools = [{ type: "function", function: { name: "look" } }];
    const system = { role: "system", content: "s" };
    const user = { role: "user", content: "u" };
    const alone = promptText([system], tools);
    expect(promptText([system, user, system], tools)?.anchor).toBe(alone?.text);
    expect(promptText([user, system])?.anchor).toBe("");
    expect(promptText([system, user])?.anchor).not.toContain("look");
  });
});

const call = { name: "look", args: { at: "it" } };
const lc = (name: string, kwargs: object) => ({
  lc: 1,
  type: "constructor",
  id: ["langchain_core", "messages", name],
  kwargs,
});

describe("the place of a call", () => {
  it.each([
    [
      { lc_agent_name: "coder", langgraph_checkpoint_ns: "team:1|model_request:2" },
      "coder",
      "team|model_request",
    ],
    [{ langgraph_node: "agent", langgraph_checkpoint_ns: "team:1|2|agent:3" }, "team", "team|agent"],
    [{ langgraph_node: "agent", checkpoint_ns: "agent:3" }, "agent", "agent"],
    [{ langgraph_node: "x.before_model" }, "x.before_model", undefined],
    [{}, undefined, undefined],
  ])("is in the metadata of LangGraph: %j", (metadata, agent, namespace) => {
    expect(placeOf(metadata)).toEqual({ ...(agent && { agent }), ...(namespace && { namespace }) });
  });

  it("has the step as a number and the session as a text", () => {
    expect(placeOf({ langgraph_step: "3", thread_id: 7 })).toEqual({ step: 3, session: "7" });
    expect(placeOf({ langgraph_step: "", thread_id: null })).toEqual({});
  });
});

describe("messages", () => {
  const expected = promptText([
    { role: "system", content: "be brief" },
    { role: "user", content: "hello" },
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "seen" },
  ])?.text;

  it.each<[string, unknown]>([
    [
      "LangChain's constructors",
      [
        [
          lc("SystemMessage", { content: [{ type: "text", text: "be brief" }] }),
          lc("HumanMessage", { content: "hello", id: "1" }),
          lc("AIMessageChunk", {
            content: "",
            tool_calls: [{ ...call, id: "2" }],
            additional_kwargs: { tool_calls: [{}] },
          }),
          lc("ToolMessage", { content: "seen", tool_call_id: "2" }),
        ],
      ],
    ],
    [
      "LangChain's dictionaries",
      [
        { type: "system", data: { content: "be brief" } },
        { type: "human", data: { content: "hello" } },
        { type: "ai", data: { content: "", tool_calls: [call] } },
        { type: "tool", data: { content: "seen" } },
      ],
    ],
    [
      "Chat Completions",
      {
        messages: [
          { role: "developer", content: "be brief" },
          {
            role: "user",
            content: [
              { type: "text", text: "hel" },
              { type: "text", text: "lo" },
            ],
          },
          {
            role: "assistant",
            content: null,
            tool_calls: [{ id: "2", type: "function", function: { name: "look", arguments: '{"at":"it"}' } }],
          },
          { role: "tool", tool_call_id: "2", content: "seen" },
        ],
      },
    ],
    [
      "Anthropic's blocks",
      [
        { role: "system", content: "be brief" },
        { role: "user", content: "hello" },
        { role: "assistant", content: [{ type: "tool_use", id: "2", name: "look", input: { at: "it" } }] },
        { role: "tool", content: [{ type: "tool_result", tool_use_id: "2", content: "seen" }] },
      ],
    ],
    [
      "OpenTelemetry's parts",
      [
        { role: "system", parts: [{ type: "text", content: "be brief" }] },
        { role: "user", parts: [{ type: "text", content: "hello" }] },
        { role: "assistant", parts: [{ type: "tool_call", id: "2", name: "look", arguments: { at: "it" } }] },
        { role: "tool", parts: [{ type: "tool_call_response", id: "2", response: "seen" }] },
      ],
    ],
  ])("are read from %s", (_, recorded) => {
    expect(promptText(recorded)?.text).toBe(expected);
  });

  it.each([
    ["plain text", "hello"],
    ["a completion's prompt", { prompts: ["hello"] }],
    ["the input of a response", { input: "hello" }],
    ["one message", { role: "user", content: "hello" }],
  ])("are read from %s", (_, recorded) => {
    expect(promptText(recorded)?.text).toBe(promptText([{ role: "user", content: "hello" }])?.text);
  });

  it.each([undefined, null, 7, {}, [], [{}], ["a", "b"], [{ role: "user" }], { input: 7 }, [[], []]])(
    "are nothing else: %j",
    (recorded) => {
      expect(promptText(recorded)).toBeUndefined();
    },
  );

  it.each([
    (path: string) => ({
      role: "assistant",
      content: "",
      tool_calls: [{ name: "write", args: { content: "a", path } }],
    }),
    (code: string) => ({
      role: "tool",
      parts: [{ type: "tool_call_response", response: { text: "a", code } }],
    }),
  ])("keep all of structured arguments and results: %#", (written) => {
    expect(promptText([written("one")])).not.toEqual(promptText([written("other")]));
  });

  it("are left out of no prompt, not one of them", () => {
    expect(promptText([{ role: "user", content: "hello" }, 7])).toBeUndefined();
  });

  it.each([
    [
      { generations: [[{ text: "abc", message: lc("AIMessage", { content: "abc", tool_calls: [call] }) }]] },
      true,
    ],
    [{ generations: [[{ text: "abc" }]] }, false],
    [
      { choices: [{ message: { role: "assistant", content: null, tool_calls: [{ function: call }] } }] },
      true,
    ],
    [{ role: "assistant", content: "abc" }, false],
    [[{ role: "assistant", parts: [{ type: "tool_call", name: "look" }] }], true],
    ["abc", false],
  ])("are read from answers: %j", (recorded, callsTools) => {
    const answer = answerOf(recorded);
    expect(answer.callsTools).toBe(callsTools);
    expect(answer.characters).toBeGreaterThan(0);
  });

  it.each([undefined, null, {}, []])("are none in an answer that is none: %j", (recorded) => {
    expect(answerOf(recorded)).toEqual({ characters: 0, callsTools: false });
  });
});
