import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodyShape, shapeOf, textShape } from "../../src/langgraph/prompt.ts";
import { commonParts } from "../../src/runtime/prompt-parts.ts";
import { splice } from "../../src/langgraph/splice.ts";

describe("the shape of a prompt", () => {
  const tools = [{ type: "function", function: { name: "add", parameters: {} } }];

  test("system messages at the head and tools are the anchor, all else is history", () => {
    const shape = shapeOf(
      [new SystemMessage("a"), new SystemMessage("b"), new HumanMessage("c"), new SystemMessage("d")],
      tools,
    );
    expect(shape.history).toHaveLength(2);
    expect(shape.anchor.length).toBeGreaterThan(JSON.stringify(tools).length);
  });

  test("the anchor changes with its text and its tools, and with nothing else", () => {
    expect(anchorHash("a", "x", tools)).toBe(anchorHash("a", "y", tools));
    expect(anchorHash("a", "x", tools)).not.toBe(anchorHash("b", "x", tools));
    expect(anchorHash("a", "x", tools)).not.toBe(anchorHash("a", "x", []));
    expect(anchorHash("a", "x", [])).toBe(anchorHash("a", "x", undefined));
  });

  test("a message has the same hash in LangChain's form and on the wire", () => {
    const call = { id: "call_1", name: "add", args: { a: 1 } };
    const messages = [
      new SystemMessage({ content: [{ type: "text", text: "sys" }] }),
      new HumanMessage("hi"),
      new AIMessage({ content: "", tool_calls: [call] }),
      new ToolMessage({ content: "1", tool_call_id: "call_1" }),
      new AIMessage("bye"),
    ];
    const wire = [
      { role: "system", content: "sys" },
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "call_1", type: "function", function: { name: "add", arguments: '{"a":1}' } }],
      },
      { role: "tool", content: "1", tool_call_id: "call_1" },
      { role: "assistant", content: "bye" },
    ];
    expect(bodyShape({ messages: wire, tools })).toEqual(shapeOf(messages, tools));
  });

  test("bodies of the Responses API and of completions are read as well", () => {
    const shape = bodyShape({
      instructions: "sys",
      input: [{ role: "user", content: [{ type: "input_text", text: "hi" }] }],
    });
    expect(shape).toEqual(shapeOf([new SystemMessage("sys"), new HumanMessage("hi")], undefined));
    expect(bodyShape({ input: "hi" }).history).toEqual(shape.history);
    expect(bodyShape({ prompt: ["once"] })).toEqual(textShape("once"));
    expect(bodyShape({}).history).toEqual([]);
  });

  test("a long message is several parts, and one that grows begins with those that it had", () => {
    const text = Array.from({ length: 600 }, (_, i) => `word${i}`).join(" ");
    const short = shapeOf([new HumanMessage("task"), new HumanMessage(text.slice(0, 2500))], []).history;
    const long = shapeOf([new HumanMessage("task"), new HumanMessage(text)], []).history;
    expect(short.map(({ continues }) => continues)).toEqual([undefined, undefined, true, true]);
    expect(commonParts(short, long)).toBe(3);
    expect(commonParts(textShape(text).history, textShape(`${text} and more`).history)).toBe(4);
    expect(bodyShape({ messages: [{ role: "user", content: text }] }).history).toEqual(
      shapeOf([new HumanMessage(text)], []).history,
    );
  });

  test("equal text gives equal parts and different text different ones", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { maxLength: 6 }),
        fc.array(fc.string(), { maxLength: 6 }),
        (one, two) => {
          const areEqual = JSON.stringify(one) === JSON.stringify(two);
          expect(JSON.stringify(history(one)) === JSON.stringify(history(two))).toBe(areEqual);
        },
      ),
    );
  });
});

describe("splicing fields into a body", () => {
  const unescaped = fc.string().filter((name) => JSON.stringify(name) === `"${name}"`);
  const plain = fc.dictionary(unescaped, fc.jsonValue(), { noNullPrototype: true, maxKeys: 5 });

  test("gives the object that assigning the missing fields gives", () => {
    fc.assert(
      fc.property(plain, plain, (body, fields) => {
        const text = JSON.stringify(body);
        const expected = JSON.stringify({ ...JSON.parse(JSON.stringify(fields)), ...JSON.parse(text) });
        const spliced = splice(text, fields) ?? text;
        expect(sorted(JSON.parse(spliced))).toEqual(sorted(JSON.parse(expected)));
        expect(spliced.startsWith(text.slice(0, -1))).toBe(true);
      }),
    );
  });

  test("what a body has already wins, whatever the names are made of", () => {
    const name = fc.oneof(fc.constantFrom("kv_hints", "priority", "_", "e", "", '"', "\\", "ü"), fc.string());
    fc.assert(
      fc.property(name, fc.jsonValue(), fc.jsonValue(), (key, theirs, ours) => {
        const text = JSON.stringify({ model: "m", [key]: theirs, messages: [key] });
        expect(splice(text, { [key]: ours })).toBeUndefined();
      }),
    );
  });

  test("an empty object and space around it are no obstacle", () => {
    for (const body of ["{}", " { } ", '\n{"a": 1}\n'])
      expect(JSON.parse(splice(body, { b: 2 }) ?? "")).toEqual({ ...JSON.parse(body), b: 2 });
  });

  test("a name that only a message or a tool mentions is not taken", () => {
    const body = JSON.stringify({ messages: ['"priority":1'], tools: [{ priority: 2 }] });
    expect(JSON.parse(splice(body, { priority: 3 }) ?? "")).toMatchObject({ priority: 3 });
  });

  test("bodies that are no JSON object stay as they are", () => {
    for (const body of ["", "[]", "[{}]", "text", "{} x", "}"])
      expect(splice(body, { a: 1 })).toBeUndefined();
  });
});

function anchorHash(system: string, human: string, tools: unknown): string {
  return shapeOf([new SystemMessage(system), new HumanMessage(human)], tools).anchor.hash;
}

function history(texts: readonly string[]) {
  return shapeOf(
    texts.map((content) => ({ role: "user", content })),
    [],
  ).history;
}

function sorted(value: unknown): unknown {
  return Object.entries(value as object).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
