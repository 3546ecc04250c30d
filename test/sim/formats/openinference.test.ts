import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { request, span, type Attributes } from "./otlp.ts";
import { complaint, fixture, read, shared, traceFile } from "./trace-file.ts";

const file = fixture("openinference.jsonl");
const recorded = readFileSync(file, "utf8").trim().split("\n");

const isCall = { "openinference.span.kind": "LLM" };
const asks = {
  ...isCall,
  "llm.input_messages.0.message.role": "user",
  "llm.input_messages.0.message.content": "hello",
};

function metadata(fields: object) {
  return { metadata: JSON.stringify(fields) };
}

/** The prompt and answer of one call with these attributes. */
async function only(attributes: Attributes) {
  const { runs } = await read([request(span("c", "", 0, { ...isCall, ...attributes }))]);
  const { blocks, anchorBlocks, promptTokens, outputTokens, callsTools } = runs[0]?.calls[0] ?? {};
  return { blocks, anchorBlocks, promptTokens, outputTokens, callsTools };
}

describe("OpenInference spans in the opentelemetry format", () => {
  it("are read as the runs of an application", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(file);
    expect({ name, blockTokens, blockCount }).toEqual({
      name: "openinference",
      blockTokens: 16,
      blockCount: 41,
    });
    expect(
      runs.map(({ session, startMs, durationMs, status }) => [session, startMs, durationMs, status]),
    ).toEqual([
      ["thread-1", 0, 350.103, "completed"],
      ["thread-2", 387, 145.531, "completed"],
      ["thread-1", 559, 50.513, "failed"],
    ]);
    for (const run of runs.slice(0, 2)) {
      expect(run.calls.map(({ agent }) => agent)).toEqual(["planner", "coder", "coder", "review/critic"]);
      expect(run.calls.map(({ callsTools }) => callsTools)).toEqual([false, true, false, false]);
      expect(run.calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 7, 7, 2]);
    }
    expect(runs[1]?.calls[2]).toEqual({
      agent: "coder",
      blocks: Int32Array.of(2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 24),
      anchorBlocks: 7,
      promptTokens: 250,
      outputTokens: 23,
      startMs: 50,
      durationMs: 4.327,
      callsTools: false,
      step: 3,
      namespace: "coder|model_request",
    });
  });

  it("keep what prompts share within a run, across runs and with the thread's turn before", async () => {
    const { runs } = await loadWorkload(file);
    const [first, second, third] = runs.map(({ calls }) => calls.map(({ blocks }) => blocks));
    expect(shared(first?.[1], first?.[2])).toBe(9);
    expect(first?.map((blocks, index) => shared(blocks, second?.[index]))).toEqual([2, 7, 7, 2]);
    expect(shared(first?.[2], third?.[1])).toBe(11);
    expect(shared(first?.[0], first?.[1])).toBe(0);
  });

  it("hold the prompts that LangSmith's runs of the same application hold", async () => {
    const [here, there] = await Promise.all([loadWorkload(file), loadWorkload(fixture("langsmith.jsonl"))]);
    const prompts = ({ runs }: typeof here) => runs.map(({ calls }) => calls.map(({ blocks }) => blocks));
    expect(prompts(here).slice(0, 2)).toEqual(prompts(there));
  });

  it("count a call that failed, with an empty answer", async () => {
    const { runs } = await loadWorkload(file);
    expect(
      runs[2]?.calls.map(({ agent, promptTokens, outputTokens }) => [agent, promptTokens, outputTokens]),
    ).toEqual([
      ["planner", 229, 25],
      ["coder", 256, 0],
    ]);
  });

  it("are read from one indented export request, and beside spans of the GenAI conventions", async () => {
    const spans = recorded.flatMap(
      (line) => (JSON.parse(line) as { resourceSpans: unknown[] }).resourceSpans,
    );
    const one = traceFile(JSON.stringify({ resourceSpans: spans }, null, 2), "spans.json");
    expect((await loadWorkload(one)).runs).toEqual((await loadWorkload(file)).runs);
    const genAi = {
      "gen_ai.operation.name": "chat",
      "gen_ai.input.messages": JSON.stringify([{ role: "user", content: "hello" }]),
    };
    const { runs } = await read([request(span("a", "", 0, asks)), request(span("b", "", 9, genAi))]);
    expect(runs[0]?.calls.map(({ promptTokens }) => promptTokens)).toEqual([3, 3]);
    const both = await read([
      request(span("a", "", 0, { ...isCall, ...genAi, "gen_ai.agent.name": "planner" })),
    ]);
    expect(both.runs[0]?.calls).toMatchObject([{ agent: "planner", promptTokens: 3 }]);
  });

  it("hold nothing of the machine that made them", () => {
    expect(recorded.join("")).not.toMatch(/host\.name|process\.(pid|command)|node_modules|file:/);
  });

  describe("name the agent of a call", () => {
    const inGraph = metadata({ langgraph_checkpoint_ns: "team:1|writer:2|model_request:3", thread_id: 7 });

    it.each<[string, Attributes, Attributes, string]>([
      ["LangGraph's metadata", { ...inGraph, "agent.name": "other" }, {}, "team/writer"],
      ["LangGraph's metadata of a span around it", {}, inGraph, "team/writer"],
      ["its node without a namespace", metadata({ langgraph_node: "writer" }), {}, "writer"],
      ["agent.name", { "agent.name": "writer" }, {}, "writer"],
      ["the agent span around it", {}, { "openinference.span.kind": "AGENT" }, "outer"],
      [
        "the graph's name for that agent, not its id",
        {},
        { "openinference.span.kind": "AGENT", "graph.node.id": "5f3a", "graph.node.name": "writer" },
        "writer",
      ],
      ["the nearest chain", { "graph.node.name": "x" }, { "openinference.span.kind": "CHAIN" }, "outer"],
      ["the outermost span", {}, { "openinference.span.kind": "TOOL" }, "root"],
    ])("by %s", async (_, own, outer, agent) => {
      const { runs } = await read([
        request(
          span("c", "outer", 2, { ...asks, ...own }),
          span("outer", "root", 1, outer),
          span("root", "", 0, {}),
        ),
      ]);
      expect(runs[0]?.calls).toMatchObject([{ agent, startMs: 2 }]);
    });

    it("by an agent farther out before a chain", async () => {
      const { runs } = await read([
        request(
          span("c", "chain", 2, asks),
          span("chain", "agent", 1, { "openinference.span.kind": "CHAIN" }),
          span("agent", "", 0, { "openinference.span.kind": "AGENT" }, "researcher"),
        ),
      ]);
      expect(runs[0]?.calls[0]?.agent).toBe("researcher");
    });

    it("and its session", async () => {
      const sessions = await Promise.all(
        [inGraph, { ...inGraph, "session.id": "talk" }].map((own) =>
          read([request(span("c", "", 0, { ...asks, ...own }))]),
        ),
      );
      expect(sessions.map(({ runs }) => runs[0]?.session)).toEqual(["7", "talk"]);
    });
  });

  describe("have prompts", () => {
    const system = "You look things up and tell what they are. ".repeat(3);
    const tool = { type: "function", function: { name: "look", parameters: { type: "object" } } };
    const messages = [
      { role: "system", content: system },
      { role: "user", content: "What is it? ".repeat(9) },
      { role: "assistant", content: null, tool_calls: [{ function: { name: "look", arguments: "{}" } }] },
      { role: "tool", content: "A thing." },
    ];
    const head = "llm.input_messages";
    const listed = {
      [`${head}.0.message.role`]: "system",
      [`${head}.0.message.content`]: system,
      [`${head}.1.message.role`]: "user",
      [`${head}.1.message.contents.0.message_content.type`]: "text",
      [`${head}.1.message.contents.0.message_content.text`]: messages[1]?.content as string,
      [`${head}.2.message.role`]: "assistant",
      [`${head}.2.message.tool_calls.0.tool_call.id`]: "1",
      [`${head}.2.message.tool_calls.0.tool_call.function.name`]: "look",
      [`${head}.2.message.tool_calls.0.tool_call.function.arguments`]: "{}",
      [`${head}.3.message.role`]: "tool",
      [`${head}.3.message.content`]: "A thing.",
      "llm.tools.0.tool.json_schema": JSON.stringify(tool),
    };
    const without = (name: string): Attributes =>
      Object.fromEntries(Object.entries(listed).filter(([key]) => !key.startsWith(name)));
    const json = { "input.mime_type": "application/json" };

    it.each<[string, Attributes]>([
      [
        "tools among the parameters",
        { ...without("llm.tools"), "llm.invocation_parameters": JSON.stringify({ tools: [tool] }) },
      ],
      [
        "a tool call among the parts",
        {
          ...without(`${head}.2.message.tool_calls`),
          [`${head}.2.message.contents.0.message_content.type`]: "tool_use",
          [`${head}.2.message.contents.0.tool_call.function.name`]: "look",
          [`${head}.2.message.contents.0.tool_call.function.arguments`]: "{}",
        },
      ],
      [
        "the older function call",
        {
          ...without(`${head}.2.message.tool_calls`),
          [`${head}.2.message.function_call_name`]: "look",
          [`${head}.2.message.function_call_arguments_json`]: "{}",
        },
      ],
      [
        "a message without content, so that the request counts",
        {
          ...without(`${head}.1.message.contents`),
          ...json,
          "input.value": JSON.stringify({ messages }),
        },
      ],
      [
        "a message missing, so that the request counts",
        {
          ...without(`${head}.2`),
          ...json,
          "input.value": JSON.stringify({ messages }),
        },
      ],
      [
        "hidden text, so that the request counts",
        {
          ...listed,
          [`${head}.0.message.content`]: "__REDACTED__",
          ...json,
          "input.value": JSON.stringify({ messages }),
        },
      ],
      [
        "a request with the system message apart",
        {
          ...json,
          "input.value": JSON.stringify({ system, messages: messages.slice(1), tools: [tool] }),
          "llm.tools.0.tool.json_schema": JSON.stringify(tool),
        },
      ],
      [
        "LangChain's messages, which go first",
        {
          ...listed,
          [`${head}.0.message.content`]: "",
          ...json,
          "input.value": JSON.stringify({ messages: [messages] }),
        },
      ],
    ])("with %s", async (_, attributes) => {
      const expected = await only(listed);
      expect(expected).toMatchObject({ anchorBlocks: 3 });
      expect(expected.blocks?.length).toBeGreaterThan(4);
      expect(await only(attributes)).toEqual(expected);
    });

    it("of completion models, and of text alone", async () => {
      const prompt = "x".repeat(200);
      const expected = await only({
        "llm.prompts.0.prompt.text": prompt,
        "llm.choices.0.completion.text": "12345678",
      });
      expect(expected).toMatchObject({ anchorBlocks: 0, promptTokens: 52, outputTokens: 2 });
      expect(await only({ "input.value": prompt, "output.value": "12345678" })).toEqual(expected);
      const lines = `[INST] ${prompt}`;
      expect((await only({ "input.value": lines, "input.mime_type": "text/plain" })).promptTokens).toBe(54);
    });

    it("whose tokens are as counted, and estimated where they are not", async () => {
      const counted = { "llm.token_count.prompt": 70, "llm.token_count.completion": 7 };
      expect(await only({ ...asks, ...counted })).toMatchObject({ promptTokens: 70, outputTokens: 7 });
      const none = { "llm.token_count.prompt": 0, "output.value": "12345678" };
      expect(await only({ ...asks, ...none })).toMatchObject({ promptTokens: 3, outputTokens: 2 });
    });

    it.each<[string, Attributes, boolean]>([
      [
        "messages",
        {
          "llm.output_messages.0.message.role": "assistant",
          "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "look",
        },
        true,
      ],
      ["the reason why it ended", { "llm.finish_reason": "tool_calls" }, true],
      ["the output", { "output.value": JSON.stringify({ choices: [{ message: messages[2] }] }) }, true],
      [
        "an answer in words",
        {
          "llm.output_messages.0.message.role": "assistant",
          "llm.output_messages.0.message.content": "Yes.",
          "llm.finish_reason": "stop",
        },
        false,
      ],
    ])("with answers that ask for tools or not: %s", async (_, answer, callsTools) => {
      expect(await only({ ...asks, ...answer })).toMatchObject({ callsTools });
    });

    const dropping = (attributes: Attributes) =>
      request({ ...span("c", "", 0, { ...isCall, ...attributes }), droppedAttributesCount: 3 });

    it("in one attribute where others were dropped", async () => {
      const { runs } = await read([
        dropping({ ...without(`${head}.3`), ...json, "input.value": JSON.stringify({ messages }) }),
      ]);
      expect(runs[0]?.calls[0]?.blocks).toEqual((await only(listed)).blocks);
    });

    it.each<[string, unknown, string, string]>([
      [
        "no input",
        request(span("c", "", 0, isCall)),
        "span c (c) holds no messages that can be read",
        "record inputs",
      ],
      [
        "an input of another kind",
        request(span("c", "", 0, { ...isCall, "input.value": '{"question":"?"}' })),
        'got "{\\"question\\":\\"?\\"}"',
        "record inputs",
      ],
      [
        "an input that was cut off",
        request(span("c", "", 0, { ...isCall, ...json, "input.value": '{"messages":[{"role":"us' })),
        "holds no messages that can be read",
        "record inputs",
      ],
      [
        "messages without content and a text that is one of them",
        request(
          span("c", "", 0, {
            ...isCall,
            ...without(`${head}.0.message.content`),
            "input.value": "What is it?",
          }),
        ),
        "holds no messages that can be read",
        "record inputs",
      ],
      [
        "a hidden input",
        request(span("c", "", 0, { ...isCall, "input.value": "__REDACTED__" })),
        "has a prompt of which something is hidden (__REDACTED__)",
        "OPENINFERENCE_HIDE_INPUTS",
      ],
      [
        "hidden messages",
        request(span("c", "", 0, { ...asks, [`${head}.0.message.content`]: "__REDACTED__" })),
        "something is hidden",
        "OPENINFERENCE_HIDE_INPUTS",
      ],
      [
        "dropped attributes",
        dropping({ ...asks, "input.value": "hello" }),
        "lost 3 attributes to the limit of the SDK",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
      ],
      [
        "metadata that was cut off",
        request(span("c", "", 0, { ...asks, metadata: '{"langgraph_node":"wri' })),
        'metadata that is not JSON, got {"langgraph_node":"wri',
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
      ],
    ])("that cannot be read, with file, line and what to do: %s", async (_, bad, problem, hint) => {
      const error = await complaint([request(span("root", "", 0, {})), bad]);
      expect(error).toMatchObject({ code: "TRACE", line: 2 });
      expect(error.message).toContain(`${error.file}:2: span c (c) `);
      expect(error.message).toContain(problem);
      expect(error.hint).toContain(hint);
    });
  });

  it("of other kinds are no model calls", async () => {
    const kinds = [
      "CHAIN",
      "AGENT",
      "TOOL",
      "EMBEDDING",
      "RETRIEVER",
      "RERANKER",
      "GUARDRAIL",
      "EVALUATOR",
      "PROMPT",
    ];
    const error = await complaint([
      request(...kinds.map((kind) => span(kind, "", 0, { ...asks, "openinference.span.kind": kind }))),
    ]);
    expect(error.message).toContain("no model call in 9 records");
  });
});
