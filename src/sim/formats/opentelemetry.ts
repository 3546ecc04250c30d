import { z } from "zod";
import { answerOf, isObject, promptText, type Fields, type PromptText } from "../../runtime/prompt-text.ts";
import { firstIssue, fromJson, MessageTrace, placeOf } from "../message-blocks.ts";
import type { TraceFormat } from "../trace-format.ts";

const SIGNALS = ["resourceSpans", "resourceLogs", "resourceMetrics"];
const CALLS: readonly unknown[] = ["chat", "text_completion", "generate_content", "completion"];
/** Where OpenLLMetry and LangSmith put the metadata that LangGraph gives a call. */
const METADATA = ["traceloop.association.properties.", "langsmith.metadata."];

const nanoseconds = z
  .union([z.string().regex(/^\d+$/), z.number()])
  .transform((value) => Number(value) / 1e6);

const span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().nullish(),
  name: z.string(),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds.nullish(),
  attributes: z
    .array(z.object({ key: z.string(), value: z.unknown() }))
    .default([])
    .transform((all): Fields => Object.fromEntries(all.map(({ key, value }) => [key, plain(value)]))),
});

const request = z.object({
  resourceSpans: z
    .array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(span).default([]) })).default([]) }))
    .default([]),
});

/**
 * OTLP/JSON as the OpenTelemetry Collector's file exporter writes it, one export request per line. Model calls are the spans
 * of the GenAI conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/) that hold their messages, and those
 * of OpenLLMetry with the older `gen_ai.prompt.0.content`. Other spans tell agent and session of the calls in them.
 */
export default {
  name: "opentelemetry",
  description: "OpenTelemetry: GenAI spans with messages, in OTLP/JSON",
  matches: (first) => isObject(first) && SIGNALS.some((signal) => signal in first),
  async read(source) {
    const trace = new MessageTrace(source);
    for await (const { line, value } of source.records) {
      const parsed = request.safeParse(value);
      if (!parsed.success || !isObject(value) || !SIGNALS.some((signal) => signal in value))
        throw source.fail(
          line,
          parsed.error
            ? firstIssue(parsed.error)
            : `resourceSpans is missing, got ${Object.keys(value ?? {}).join(", ")}`,
          "Each record is an export request in OTLP/JSON: resourceSpans, scopeSpans, spans.",
        );
      const spans = parsed.data.resourceSpans.flatMap(({ scopeSpans }) =>
        scopeSpans.flatMap((scope) => scope.spans),
      );
      for (const {
        traceId,
        spanId,
        parentSpanId,
        name,
        attributes,
        startTimeUnixNano: start,
        ...rest
      } of spans) {
        const { agent, session, ...place } = placeOf(metadataOf(attributes));
        const own = {
          id: spanId,
          parent: parentSpanId,
          run: traceId,
          name,
          start,
          agent: agent ?? text(attributes["gen_ai.agent.name"]) ?? entityAgent(attributes),
          session: text(attributes["gen_ai.conversation.id"]) ?? text(attributes["session.id"]) ?? session,
        };
        if (!CALLS.includes(attributes["gen_ai.operation.name"] ?? attributes["llm.request.type"])) {
          trace.add(line, own);
          continue;
        }
        const prompt = promptOf(attributes);
        trace.add(line, own, {
          ...place,
          end: rest.endTimeUnixNano ?? undefined,
          prompt: prompt
            ? trace.blocks(prompt)
            : source.fail(
                line,
                `span ${spanId} (${name}) holds no messages, neither in gen_ai.input.messages nor in gen_ai.prompt.0.content`,
                "Let the instrumentation capture message content, and on spans, not in log events.",
              ),
          answer: answerIn(attributes),
          promptTokens: tokens(
            attributes["gen_ai.usage.input_tokens"] ?? attributes["gen_ai.usage.prompt_tokens"],
          ),
          outputTokens: tokens(
            attributes["gen_ai.usage.output_tokens"] ?? attributes["gen_ai.usage.completion_tokens"],
          ),
        });
      }
    }
    return trace.workload();
  },
} satisfies TraceFormat;

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

/** The value of an OTLP AnyValue. */
function plain(value: unknown): unknown {
  if (!isObject(value)) return undefined;
  const { arrayValue, kvlistValue } = value;
  if (isObject(arrayValue)) return [arrayValue["values"] ?? []].flat().map(plain);
  if (isObject(kvlistValue)) {
    const pairs = [kvlistValue["values"] ?? []].flat().filter(isObject);
    return Object.fromEntries(pairs.map((pair) => [String(pair["key"]), plain(pair["value"])]));
  }
  return Object.values(value)[0];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** 64-bit integers are strings in OTLP/JSON. */
function tokens(value: unknown): number | undefined {
  const count = Number(value);
  return value === undefined || Number.isNaN(count) ? undefined : count;
}
