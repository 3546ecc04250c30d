import { isObject, type Fields } from "../../runtime/prompt-text.ts";
import { genAi } from "../gen-ai.ts";
import { firstIssue, fromJson, MessageTrace } from "../message-blocks.ts";
import { openInference } from "../openinference.ts";
import { exportRequest, type OtlpEvent, type OtlpSpan } from "../otlp.ts";
import { addSpan, isReadable, type SpanWords } from "../span-words.ts";
import type { TraceFormat } from "../trace-format.ts";

const SIGNALS = ["resourceSpans", "resourceLogs", "resourceMetrics"];
/** A message as versions of the conventions before 1.37 have it, each in an event of its own. */
const MESSAGE_EVENT = /^gen_ai\.(system|user|assistant|tool)\.message$/;

/**
 * OTLP/JSON as the OpenTelemetry Collector's file exporter writes it, one export request per line. Model calls are the spans
 * of the GenAI conventions, of OpenLLMetry or of OpenInference whose messages are on record, in their attributes, in their events or in
 * log events in the same file. Other spans tell agent and session of the calls in them.
 */
export default {
  name: "opentelemetry",
  description: "OpenTelemetry: GenAI or OpenInference spans with messages, in OTLP/JSON",
  matches: (first) => isObject(first) && SIGNALS.some((signal) => signal in first),
  async read(source) {
    const trace = new MessageTrace(source);
    const logged = new Map<string, OtlpEvent[]>();
    /** Calls whose messages may come in log events. */
    const waiting: (readonly [line: number, span: OtlpSpan])[] = [];
    const add = (line: number, span: OtlpSpan, words: SpanWords): void => {
      const { traceId, spanId, parentSpanId, name, startTimeUnixNano, endTimeUnixNano, status } = span;
      const at = { start: startTimeUnixNano, end: endTimeUnixNano ?? undefined, status };
      addSpan(source, trace, line, { id: spanId, parent: parentSpanId, run: traceId, name, ...at }, words);
    };
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
        const words = wordsOf(span, span.events);
        if (words.call && !isReadable(words.call)) waiting.push([line, span]);
        else add(line, span, words);
      }
    }
    for (const [line, span] of waiting) {
      const events = [...span.events, ...(logged.get(`${span.traceId} ${span.spanId}`) ?? [])];
      add(line, span, wordsOf(span, events));
    }
    return trace.workload();
  },
} satisfies TraceFormat;

/** By both conventions, since a span may follow both: a readable prompt goes first, then what OpenInference says. */
function wordsOf({ name, attributes: own, droppedAttributesCount }: OtlpSpan, events: readonly OtlpEvent[]) {
  const attributes = withEvents(own, events);
  const ofInference = openInference({ name, attributes, dropped: droppedAttributesCount });
  const ofGenAi = genAi(attributes);
  const calls = [ofInference.call, ofGenAi.call].filter((call) => call !== undefined);
  const call = calls.find(isReadable) ?? calls[0];
  return { ...ofGenAi, ...ofInference, ...(call && { call }) } satisfies SpanWords;
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
