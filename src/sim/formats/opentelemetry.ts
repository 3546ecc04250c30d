import { answerOf, isObject, promptText, type Fields, type PromptText } from "../../runtime/prompt-text.ts";
import { firstIssue, fromJson, MessageTrace, placeOf } from "../message-blocks.ts";
import { exportRequest, type OtlpEvent, type OtlpSpan } from "../otlp.ts";
import type { TraceFormat, TraceSource } from "../trace-format.ts";

const SIGNALS = ["resourceSpans", "resourceLogs", "resourceMetrics"];
const CALLS: readonly unknown[] = ["chat", "text_completion", "generate_content", "completion"];
/** Where OpenLLMetry and LangSmith put the metadata that LangGraph gives a call. */
const METADATA = ["traceloop.association.properties.", "langsmith.metadata."];
/** A message as versions of the conventions before 1.37 have it, each in an event of its own. */
const MESSAGE_EVENT = /^gen_ai\.(system|user|assistant|tool)\.message$/;

/**
 * OTLP/JSON as the OpenTelemetry Collector's file exporter writes it, one export request per line. Model calls are the spans
 * of the GenAI conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/) whose messages are on record, in their attributes, in their
 * events or in log events in the same file, and those of OpenLLMetry with the older `gen_ai.prompt.0.content`. Other spans tell
 * agent and session of the calls in them.
 */
export default {
  name: "opentelemetry",
  description: "OpenTelemetry: GenAI spans with messages, in OTLP/JSON",
  matches: (first) => isObject(first) && SIGNALS.some((signal) => signal in first),
  async read(source) {
    const trace = new MessageTrace(source);
    const logged = new Map<string, OtlpEvent[]>();
    /** Calls whose messages may come in log events. */
    const waiting: (readonly [line: number, span: OtlpSpan])[] = [];
    for await (const { line, value } of source.records) {
      const parsed = exportRequest.safeParse(value);
      if (!parsed.success || !isObject(value) || !SIGNALS.some((signal) => signal in value))
        throw source.fail(
          line,
          parsed.error
            ? firstIssue(parsed.error)
            : `resourceSpans is missing, got ${Object.keys(value ?? {}).join(", ")}`,
          "Each record is an export request in OTLP/JSON: resourceSpans, scopeSpans, spans.",
        );
      for (const { traceId, spanId, event } of parsed.data.logs) {
        if (!event.name.startsWith("gen_ai.")) continue;
        const key = `${traceId} ${spanId}`;
        const others = logged.get(key);
        if (others) others.push(event);
        else logged.set(key, [event]);
      }
      for (const span of parsed.data.spans) {
        const attributes = withEvents(span.attributes, span.events);
        if (isCall(span) && !promptOf(attributes)) waiting.push([line, span]);
        else addSpan(source, trace, line, span, attributes);
      }
    }
    for (const [line, span] of waiting) {
      const events = [...span.events, ...(logged.get(`${span.traceId} ${span.spanId}`) ?? [])];
      addSpan(source, trace, line, span, withEvents(span.attributes, events));
    }
    return trace.workload();
  },
} satisfies TraceFormat;

function isCall({ attributes }: OtlpSpan): boolean {
  return CALLS.includes(attributes["gen_ai.operation.name"] ?? attributes["llm.request.type"]);
}

/** @param attributes those of the span, and what its events tell. */
function addSpan(
  source: TraceSource,
  trace: MessageTrace,
  line: number,
  span: OtlpSpan,
  attributes: Fields,
): void {
  const { traceId, spanId, parentSpanId, name, startTimeUnixNano, endTimeUnixNano } = span;
  const { agent, session, ...place } = placeOf(metadataOf(attributes));
  const own = {
    id: spanId,
    parent: parentSpanId,
    run: traceId,
    name,
    start: startTimeUnixNano,
    agent: agent ?? text(attributes["gen_ai.agent.name"]) ?? entityAgent(attributes),
    session: text(attributes["gen_ai.conversation.id"]) ?? text(attributes["session.id"]) ?? session,
  };
  if (!isCall(span)) return trace.add(line, own);
  const prompt = promptOf(attributes);
  trace.add(line, own, {
    ...place,
    end: endTimeUnixNano ?? undefined,
    prompt: prompt
      ? trace.blocks(prompt)
      : source.fail(
          line,
          `span ${spanId} (${name}) holds no messages, neither in gen_ai.input.messages nor in gen_ai.prompt.0.content nor in events`,
          "Let the instrumentation capture message content, on spans or in log events that are exported to the same file.",
        ),
    answer: answerIn(attributes),
    promptTokens: tokens(attributes["gen_ai.usage.input_tokens"] ?? attributes["gen_ai.usage.prompt_tokens"]),
    outputTokens: tokens(
      attributes["gen_ai.usage.output_tokens"] ?? attributes["gen_ai.usage.completion_tokens"],
    ),
  });
}

/**
 * A span's attributes with what its events tell, under the names of today: of a whole call, as
 * `gen_ai.client.inference.operation.details` and `gen_ai.content.prompt` do under these names themselves, or of a message or choice each. The
 * latter are in the event's fields, or as JSON in `gen_ai.event.content`.
 */
function withEvents(attributes: Fields, events: readonly OtlpEvent[]): Fields {
  const messages: Fields[] = [];
  const choices: Fields[] = [];
  let told: Fields = {};
  for (const { name, fields } of events) {
    const content = fromJson(fields["gen_ai.event.content"]);
    const own = isObject(content) ? content : fields;
    const [, role] = MESSAGE_EVENT.exec(name) ?? [];
    if (role !== undefined) {
      messages.push({ role, ...own, tool_calls: fromJson(own["tool_calls"]) });
    } else if (name === "gen_ai.choice") {
      const message = fromJson(own["message"]);
      choices.push({ role: "assistant", ...(isObject(message) ? message : own) });
    } else {
      told = { ...told, ...fields };
    }
  }
  return {
    ...(messages.length > 0 && { "gen_ai.input.messages": messages }),
    ...(choices.length > 0 && { "gen_ai.output.messages": choices }),
    ...told,
    ...attributes,
  };
}

function promptOf(attributes: Fields): PromptText | undefined {
  const listed = fromJson(attributes["gen_ai.input.messages"]) ?? below(attributes, "gen_ai.prompt");
  const messages = listed ?? fromJson(attributes["gen_ai.prompt"]);
  const instructions = fromJson(attributes["gen_ai.system_instructions"]);
  const tools = fromJson(attributes["gen_ai.tool.definitions"]) ?? below(attributes, "llm.request.functions");
  const isApart = instructions !== undefined && Array.isArray(messages);
  return promptText(isApart ? [{ role: "system", content: instructions }, ...messages] : messages, tools);
}

/** Some instrumentations leave tool calls out of messages, and only the reason why the answer ended tells of them. */
function answerIn(attributes: Fields) {
  const listed = fromJson(attributes["gen_ai.output.messages"]) ?? below(attributes, "gen_ai.completion");
  const answer = answerOf(listed ?? fromJson(attributes["gen_ai.completion"]));
  const reasons = [
    attributes["gen_ai.response.finish_reasons"],
    attributes["gen_ai.completion.0.finish_reason"],
  ];
  return {
    ...answer,
    callsTools: answer.callsTools || reasons.flat().some((reason) => String(reason).startsWith("tool_")),
  };
}

function metadataOf(attributes: Fields): Fields {
  const found = Object.entries(attributes).flatMap(([key, value]) =>
    METADATA.filter((prefix) => key.startsWith(prefix)).map((prefix) => [key.slice(prefix.length), value]),
  );
  return Object.fromEntries(found) as Fields;
}

function entityAgent(attributes: Fields): string | undefined {
  return attributes["traceloop.span.kind"] === "agent"
    ? text(attributes["traceloop.entity.name"])
    : undefined;
}

/** Attributes `prefix.0.role`, `prefix.0.content`, … as a list of objects; undefined when there are none. */
function below(attributes: Fields, prefix: string): readonly unknown[] | undefined {
  const indices = new Set<number>();
  for (const key of Object.keys(attributes))
    if (key.startsWith(`${prefix}.`)) indices.add(Number.parseInt(key.slice(prefix.length + 1), 10));
  if (indices.size === 0) return undefined;
  return [...indices]
    .toSorted((a, b) => a - b)
    .map((index) => {
      const start = `${prefix}.${index}.`;
      const own = Object.entries(attributes).filter(([key]) => key.startsWith(start));
      const flat = own.map(([key, value]) => [key.slice(start.length), value] as const);
      const calls = below(attributes, `${start}tool_calls`);
      return {
        ...Object.fromEntries(flat.filter(([key]) => !key.includes("."))),
        ...(calls && { tool_calls: calls }),
      };
    });
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** 64-bit integers are strings in OTLP/JSON. */
function tokens(value: unknown): number | undefined {
  const count = Number(value);
  return value === undefined || Number.isNaN(count) ? undefined : count;
}
