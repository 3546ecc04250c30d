import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadWorkload } from "../../../src/sim/load.ts";
import { request, span, type Attributes } from "./otlp.ts";
import { complaint, fixture, read, shared } from "./trace-file.ts";

const file = fixture("opentelemetry.jsonl");
const older = fixture("openllmetry.json");

function logs(...logRecords: readonly unknown[]) {
  return { resourceLogs: [{ scopeLogs: [{ logRecords }] }] };
}

/** As OTLP/JSON has it. */
function event(name: string, attributes: Attributes) {
  return { name, attributes: span("", "", 0, attributes).attributes };
}

const chat = {
  "gen_ai.operation.name": "chat",
  "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: "hello" }] }]),
};

describe("the opentelemetry format", () => {
  it("reads the export requests of an application", async () => {
    const { name, blockTokens, blockCount, runs } = await loadWorkload(file);
    expect({ name, blockTokens, blockCount }).toEqual({
      name: "opentelemetry",
      blockTokens: 16,
      blockCount: 21,
    });
    expect(runs.map(({ session, startMs }) => [session, startMs])).toEqual([
      ["thread-1", 0],
      ["thread-2", 324],
    ]);
    for (const run of runs) {
      expect(run.calls.map(({ agent }) => agent)).toEqual(["planner", "coder", "coder", "critic"]);
      expect(run.calls.map(({ callsTools }) => callsTools)).toEqual([false, true, false, false]);
      expect(run.calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 2, 2, 2]);
    }
    expect(runs[1]?.calls[2]).toEqual({
      agent: "coder",
      blocks: Int32Array.of(2, 3, 14, 15, 16),
      anchorBlocks: 2,
      promptTokens: 251,
      outputTokens: 28,
      startMs: 52,
      durationMs: 19.435,
      callsTools: false,
    });
    expect(shared(runs[0]?.calls[1]?.blocks, runs[0]?.calls[2]?.blocks)).toBe(4);
  });

  it("reads one indented export request of OpenLLMetry", async () => {
    const { runs, blockCount } = await loadWorkload(older);
    expect(blockCount).toBe(11);
    expect(runs.map(({ session }) => session)).toEqual(["thread-1"]);
    const calls = runs[0]?.calls ?? [];
    expect(calls.map(({ agent }) => agent)).toEqual(["planner", "coder", "coder"]);
    expect(calls.map(({ callsTools }) => callsTools)).toEqual([false, true, false]);
    expect(calls.map(({ anchorBlocks }) => anchorBlocks)).toEqual([2, 5, 5]);
    expect(calls.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
      [56, 29],
      [146, 39],
      [210, 28],
    ]);
    expect(shared(calls[1]?.blocks, calls[2]?.blocks)).toBe(7);
  });

  it("puts system instructions and tools in front", async () => {
    const { runs } = await read([
      request(
        span("c", "", 0, {
          ...chat,
          "gen_ai.agent.name": "greeter",
          "gen_ai.conversation.id": "talk",
          "gen_ai.system_instructions": JSON.stringify([{ type: "text", content: "x".repeat(60) }]),
          "gen_ai.tool.definitions": JSON.stringify([{ type: "function", name: "y".repeat(60) }]),
          "gen_ai.output.messages": JSON.stringify([
            {
              role: "assistant",
              parts: [{ type: "tool_call", id: "1", name: "look", arguments: { at: "it" } }],
            },
          ]),
          "gen_ai.usage.input_tokens": 70,
        }),
      ),
    ]);
    expect(runs[0]).toMatchObject({ session: "talk", startMs: 0 });
    expect(runs[0]?.calls[0]).toMatchObject({
      agent: "greeter",
      anchorBlocks: 2,
      promptTokens: 70,
      durationMs: 5.25,
      callsTools: true,
    });
  });

  it("reads messages that are structured values", async () => {
    const structured = span("c", "", 0, { "gen_ai.operation.name": "chat" });
    const role = { key: "role", value: { stringValue: "user" } };
    const content = { key: "content", value: { stringValue: "hello" } };
    const message = { kvlistValue: { values: [role, content] } };
    const value = { arrayValue: { values: [message] } };
    const withMessages = {
      ...structured,
      attributes: [...structured.attributes, { key: "gen_ai.input.messages", value }],
    };
    const { runs } = await read([request(withMessages, span("d", "", 9, chat))]);
    expect(runs[0]?.calls.map(({ promptTokens }) => promptTokens)).toEqual([3, 3]);
  });

  it("takes agent, session and step from the metadata of LangGraph", async () => {
    const prefix = "traceloop.association.properties.";
    const { runs } = await read([
      request(
        span("c", "", 0, {
          ...chat,
          "gen_ai.agent.name": "LangGraph",
          [`${prefix}langgraph_checkpoint_ns`]: "team:1|writer:2|model_request:3",
          [`${prefix}langgraph_step`]: 4,
          [`${prefix}thread_id`]: "thread",
        }),
      ),
    ]);
    expect(runs[0]?.session).toBe("thread");
    expect(runs[0]?.calls[0]).toMatchObject({
      agent: "team/writer",
      step: 4,
      namespace: "team|writer|model_request",
    });
  });

  it.each([
    [undefined, "completed"],
    [{ code: 1 }, "completed"],
    [{ code: 2, message: "no room" }, "failed"],
    [{ code: "STATUS_CODE_ERROR" }, "failed"],
    [{ code: 2, message: null }, "failed"],
    [{ code: 2, message: "GraphInterrupt: []" }, "interrupted"],
  ])("tells from the outermost span how a run ended: %j", async (status, expected) => {
    const { runs } = await read([
      request({ ...span("c", "root", 3, chat), status: { code: 2 } }, { ...span("root", "", 0, {}), status }),
    ]);
    expect(runs[0]).toMatchObject({ durationMs: 5.25, status: expected });
  });

  it("knows no end of a run whose outermost span is not in the file", async () => {
    const { runs } = await read([request(span("c", "elsewhere", 0, chat))]);
    expect(runs[0]).not.toHaveProperty("status");
    expect(runs[0]).not.toHaveProperty("durationMs");
  });

  it("counts a call once that framework and client both saw", async () => {
    const { runs } = await read([
      request(
        span("client", "framework", 1, { "gen_ai.operation.name": "chat" }),
        span("framework", "root", 0, chat),
      ),
      request(span("root", "", 0, {}, "POST /mail")),
    ]);
    expect(runs[0]?.calls.map(({ agent, startMs }) => [agent, startMs])).toEqual([["POST /mail", 0]]);
  });

  it("is not led astray by spans that are their own parents", async () => {
    const { runs } = await read([request(span("a", "b", 0, chat), span("b", "a", 0, {}))]);
    expect(runs[0]?.calls).toHaveLength(1);
  });

  describe("messages that are told in events", () => {
    const question = "x".repeat(200);
    const messages = [
      { role: "system", content: "Plan." },
      { role: "user", content: question },
    ];
    const asks = { content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: "{}" } }] };
    const isCall = { "gen_ai.operation.name": "chat" };
    const bare = span("c", "", 0, isCall);
    const details = {
      "gen_ai.input.messages": JSON.stringify(messages),
      "gen_ai.output.messages": JSON.stringify([{ role: "assistant", ...asks }]),
    };
    const place = { traceId: "t", spanId: "c" };

    it.each([
      [
        "one event for the call, on the span",
        [request({ ...bare, events: [event("gen_ai.client.inference.operation.details", details)] })],
      ],
      [
        "events of the first conventions",
        [
          request({
            ...bare,
            events: [
              event("gen_ai.content.prompt", { "gen_ai.prompt": JSON.stringify(messages) }),
              event("gen_ai.content.completion", {
                "gen_ai.completion": JSON.stringify([{ role: "assistant", ...asks }]),
              }),
            ],
          }),
        ],
      ],
      [
        "an event a message",
        [
          request({
            ...bare,
            events: [
              event("gen_ai.system.message", { content: "Plan." }),
              event("gen_ai.user.message", { content: question }),
              event("gen_ai.choice", { index: 0, message: JSON.stringify(asks) }),
            ],
          }),
        ],
      ],
      [
        "an event a message, as JSON in one attribute",
        [
          request({
            ...bare,
            events: [
              event("gen_ai.system.message", { "gen_ai.event.content": JSON.stringify(messages[0]) }),
              event("gen_ai.user.message", { "gen_ai.event.content": JSON.stringify(messages[1]) }),
              event("gen_ai.choice", { "gen_ai.event.content": JSON.stringify({ message: asks }) }),
            ],
          }),
        ],
      ],
      [
        "one log event after the span",
        [
          request(bare),
          logs({ ...place, ...event("", details), eventName: "gen_ai.client.inference.operation.details" }),
        ],
      ],
      [
        "a log event a message before the span, named in an attribute",
        [
          logs(
            {
              ...place,
              ...event("", { "event.name": "gen_ai.system.message" }),
              body: { kvlistValue: { values: [{ key: "content", value: { stringValue: "Plan." } }] } },
            },
            {
              ...place,
              ...event("", { "event.name": "gen_ai.user.message" }),
              body: { kvlistValue: { values: [{ key: "content", value: { stringValue: question } }] } },
            },
            { ...place, ...event("", { "event.name": "gen_ai.choice", message: JSON.stringify(asks) }) },
          ),
          logs({ body: { stringValue: "Listening on port 80" } }),
          request(bare),
        ],
      ],
    ])("are read: %s", async (_, records) => {
      const attributes = { ...isCall, ...details };
      expect((await read(records)).runs).toEqual((await read([request(span("c", "", 0, attributes))])).runs);
    });

    it("must be of the span in question", async () => {
      const other = { ...place, spanId: "d", ...event("", details), eventName: "gen_ai.details" };
      const error = await complaint([logs(other), request(bare)]);
      expect(error).toMatchObject({ line: 2 });
      expect(error.message).toContain("span c (c) holds no messages");
    });
  });

  it("passes over logs and metrics of the same collector", async () => {
    const { runs } = await read([
      { resourceLogs: [] },
      request(span("c", "", 0, chat)),
      { resourceMetrics: [] },
    ]);
    expect(runs).toHaveLength(1);
  });

  it.each([
    [
      request({ ...span("c", "", 0, chat), traceId: undefined }),
      "resourceSpans.0.scopeSpans.0.spans.0.traceId: Invalid input",
    ],
    [request({ ...span("c", "", 0, chat), startTimeUnixNano: "noon" }), "startTimeUnixNano"],
    [{ spans: [] }, "resourceSpans is missing, got spans"],
    [7, "record: Invalid input: expected object, received number"],
    [request(span("c", "", 0, { "gen_ai.operation.name": "chat" })), "span c (c) holds no messages"],
    [request(span("root", "", 0, {})), "root is in the file twice"],
  ])("names file and line of a bad request: %#", async (bad, problem) => {
    const error = await complaint([request(span("root", "", 0, {})), bad]);
    expect(error).toMatchObject({ code: "TRACE", line: 2 });
    expect(error.message).toContain(problem);
    expect(error.hint).toBeTruthy();
  });

  it("refuses spans without a model call", async () => {
    const error = await complaint([
      request(span("root", "", 0, { "gen_ai.operation.name": "invoke_agent" })),
    ]);
    expect(error.message).toContain("no model call in 1 records");
  });

  it("has fixtures that hold nothing of the machine that made them", () => {
    for (const name of [file, older])
      expect(readFileSync(name, "utf8")).not.toMatch(/host\.name|process\.(pid|command)/);
  });
});
