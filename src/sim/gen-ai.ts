import { answerOf, promptText, type Fields, type PromptText } from "../runtime/prompt-text.ts";
import { fromJson, placeOf } from "./message-blocks.ts";
import { at, nested } from "./nested-fields.ts";
import { text, tokens, type SpanWords, type ToldCall } from "./span-words.ts";

const CALLS: readonly unknown[] = ["chat", "text_completion", "generate_content", "completion"];
/** Where OpenLLMetry and LangSmith put the metadata that LangGraph gives a call. */
const METADATA = ["traceloop.association.properties.", "langsmith.metadata."];

/**
 * What the attributes of a span say by the GenAI conventions of OpenTelemetry
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/) or by those of OpenLLMetry, with the older `gen_ai.prompt.0.content`.
 */
export function genAi(attributes: Fields): SpanWords {
  const { agent, session, ...place } = placeOf(metadataOf(attributes));
  const named = agent ?? text(attributes["gen_ai.agent.name"]) ?? entityAgent(attributes);
  const talk = text(attributes["gen_ai.conversation.id"]) ?? text(attributes["session.id"]) ?? session;
  const isCall = CALLS.includes(attributes["gen_ai.operation.name"] ?? attributes["llm.request.type"]);
  return {
    ...place,
    ...(named !== undefined && { agent: named }),
    ...(talk !== undefined && { session: talk }),
    ...(isCall && { call: callIn(attributes) }),
  };
}

function callIn(attributes: Fields): ToldCall {
  const tree = nested(attributes);
  return {
    prompt: promptOf(attributes, tree) ?? {
      problem:
        "holds no messages, neither in gen_ai.input.messages nor in gen_ai.prompt.0.content nor in events",
      hint: "Let the instrumentation capture message content, on spans or in log events that are exported to the same file.",
    },
    answer: answerIn(attributes, tree),
    promptTokens: tokens(attributes["gen_ai.usage.input_tokens"] ?? attributes["gen_ai.usage.prompt_tokens"]),
    outputTokens: tokens(
      attributes["gen_ai.usage.output_tokens"] ?? attributes["gen_ai.usage.completion_tokens"],
    ),
  };
}

function promptOf(attributes: Fields, tree: unknown): PromptText | undefined {
  const messages = fromJson(attributes["gen_ai.input.messages"] ?? at(tree, "gen_ai", "prompt"));
  const instructions = fromJson(attributes["gen_ai.system_instructions"]);
  const tools = fromJson(attributes["gen_ai.tool.definitions"]) ?? at(tree, "llm", "request", "functions");
  const isApart = instructions !== undefined && Array.isArray(messages);
  return promptText(isApart ? [{ role: "system", content: instructions }, ...messages] : messages, tools);
}

/** Some instrumentations leave tool calls out of messages, and only the reason why the answer ended tells of them. */
function answerIn(attributes: Fields, tree: unknown) {
  const answer = answerOf(fromJson(attributes["gen_ai.output.messages"] ?? at(tree, "gen_ai", "completion")));
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
