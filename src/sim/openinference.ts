import { answerOf, isObject, promptText, type Answer, type Fields } from "../runtime/prompt-text.ts";
import { fromJson, placeOf } from "./message-blocks.ts";
import { at, nested } from "./nested-fields.ts";
import { text, tokens, type SpanWords, type ToldCall, type Unreadable } from "./span-words.ts";

/** Stands for whatever the instrumentation was told to hide, and for images that are too large. */
const REDACTED = "__REDACTED__";
const CALLS_TOOLS = /^(tool|function)/;

const HIDDEN: Unreadable = {
  problem: `has a prompt of which something is hidden (${REDACTED})`,
  hint: "Record without OPENINFERENCE_HIDE_INPUTS, _HIDE_INPUT_MESSAGES, _HIDE_INPUT_TEXT and _HIDE_INPUT_IMAGES, and large images with a higher OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH.",
};

/** A span that the conventions of OpenInference tell of. */
export interface OpenInferenceSpan {
  readonly name: string;
  /** Flat, nested, or nested in part, as Phoenix stores and exports them. */
  readonly attributes: Fields;
  /** How many attributes the SDK left out because there were too many. */
  readonly dropped?: number;
}

/**
 * What a span says by the semantic conventions of OpenInference (https://arize-ai.github.io/openinference/spec/): where it was
 * made, and, of the kind LLM, the model call. What LangGraph knows of a node is in `metadata`.
 *
 * `graph.node.id` is no agent: some frameworks make a new one for each run.
 */
export function openInference({ name, attributes, dropped = 0 }: OpenInferenceSpan): SpanWords {
  const tree = nested(attributes);
  const kind = String(at(tree, "openinference", "span", "kind")).toUpperCase();
  const metadata = fromJson(at(tree, "metadata"));
  const { agent, session, ...place } = placeOf(isObject(metadata) ? metadata : {});
  const ofAgent = kind === "AGENT" ? (text(at(tree, "graph", "node", "name")) ?? text(name)) : undefined;
  const named = agent ?? text(at(tree, "agent", "name")) ?? ofAgent;
  const talk = text(at(tree, "session", "id")) ?? session;
  return {
    ...place,
    ...(named !== undefined && { agent: named }),
    ...(talk !== undefined && { session: talk }),
    ...(kind === "CHAIN" && name !== "" && { stage: name }),
    ...(kind === "LLM" && { call: callIn(tree, metadata, dropped) }),
  };
}

function callIn(tree: unknown, metadata: unknown, dropped: number): ToldCall {
  const counted = at(tree, "llm", "token_count");
  return {
    prompt: isBroken(metadata) ? cutOff(metadata) : promptIn(tree, dropped),
    answer: answerIn(tree, dropped),
    // No prompt has no token: 0 is what clients say that were told no usage.
    promptTokens: tokens(at(counted, "prompt")) || undefined,
    outputTokens: tokens(at(counted, "completion")),
  };
}

/**
 * LangChain's own record of the messages goes first: of these, the instrumentation passes on no content that is a list of parts, as the
 * system message of an agent of `createAgent` is, and tool calls in part only. What came in one attribute is whole where the SDK
 * dropped others.
 */
function promptIn(tree: unknown, dropped: number): ToldCall["prompt"] {
  const input = inputIn(tree);
  const listed = at(tree, "llm", "input_messages");
  const isWhole = dropped === 0;
  const tools = toolsIn(tree);
  const sources = [
    isOfLangChain(input) && input,
    isWhole && messagesIn(listed),
    isWhole && textsIn(at(tree, "llm", "prompts"), "prompt"),
    // Where there were messages, a text alone is only one of them.
    (listed === undefined || isRequest(input)) && withSystem(input),
  ];
  const shown = sources.filter((one) => !isHidden(one));
  for (const one of shown) {
    const prompt = promptText(one, tools);
    if (prompt) return prompt;
  }
  if (shown.length < sources.length) return HIDDEN;
  if (!isWhole)
    return {
      problem: `lost ${dropped} attributes to the limit of the SDK, so that its llm.input_messages may be cut off, and input.value holds no messages`,
      hint: "Raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT (128 by default) where the spans are recorded.",
    };
  return {
    problem: `holds no messages that can be read, neither in llm.input_messages nor in llm.prompts nor in input.value, got ${JSON.stringify(at(tree, "input", "value"))?.slice(0, 120)}`,
    hint: "Let the instrumentation record inputs, with content and role of each message.",
  };
}

/** `input.value`; undefined when it is empty or JSON that was cut off. */
function inputIn(tree: unknown): unknown {
  const { value, mime_type: type } = (at(tree, "input") ?? {}) as Fields;
  const input = fromJson(value);
  return input === "" || (type === "application/json" && isBroken(input)) ? undefined : (input ?? undefined);
}

/** A batch of prompts, each a list of messages; there is one prompt in a batch. */
function isOfLangChain(input: unknown): boolean {
  return Array.isArray(at(input, "messages")) && Array.isArray((at(input, "messages") as unknown[])[0]);
}

/** Whether it holds a list of messages, as what is sent to OpenAI or Anthropic does. */
function isRequest(input: unknown): boolean {
  return [input, at(input, "messages"), at(input, "input")].some((one) => Array.isArray(one));
}

/** A request of Anthropic's has the system message apart. */
function withSystem(input: unknown): unknown {
  const [system, messages] = [at(input, "system"), at(input, "messages")];
  return system !== undefined && Array.isArray(messages)
    ? [{ role: "system", content: system }, ...(messages as unknown[])]
    : input;
}

function toolsIn(tree: unknown): readonly unknown[] {
  const parameters = fromJson(at(tree, "llm", "invocation_parameters"));
  const listed = [at(tree, "llm", "tools")].flat().map((one) => fromJson(at(one, "tool", "json_schema")));
  const sent = [at(parameters, "tools"), at(parameters, "functions")].find((one) => Array.isArray(one));
  return (sent as readonly unknown[] | undefined) ?? listed.filter((one) => one !== undefined);
}

function answerIn(tree: unknown, dropped: number): Answer {
  const output = fromJson(at(tree, "output", "value"));
  const sources = [
    at(output, "generations") === undefined ? undefined : output,
    dropped > 0 ? undefined : messagesIn(at(tree, "llm", "output_messages")),
    dropped > 0 ? undefined : textsIn(at(tree, "llm", "choices"), "completion"),
    output,
  ];
  const answer = answerOf(sources.find((one) => one !== undefined && !isHidden(one)));
  const reason = String(at(tree, "llm", "finish_reason") ?? "");
  return { ...answer, callsTools: answer.callsTools || CALLS_TOOLS.test(reason.toLowerCase()) };
}

/** In the form of Chat Completions; undefined when there are none. */
function messagesIn(listed: unknown): readonly unknown[] | undefined {
  if (!Array.isArray(listed)) return undefined;
  return listed.map((one) => {
    const message = (at(one, "message") ?? {}) as Fields;
    const { role, content, contents, tool_calls: calls, function_call_name: name } = message;
    const parts = Array.isArray(contents) ? contents.map(partOf) : undefined;
    const called = [calls ?? []].flat().map((call) => at(call, "tool_call") ?? call);
    const older = { name, arguments: message["function_call_arguments_json"] };
    return { role, content: parts ?? content, tool_calls: name === undefined ? called : [...called, older] };
  });
}

/** A part of the type `tool_use` has the tool's name and arguments beside it. */
function partOf(part: unknown): unknown {
  const content = at(part, "message_content");
  const call = at(part, "tool_call");
  return isObject(content) ? { ...content, ...(isObject(call) && call) } : part;
}

/** Texts of a completion model; undefined when there are none. */
function textsIn(listed: unknown, name: string): readonly unknown[] | undefined {
  if (!Array.isArray(listed)) return undefined;
  return listed.map((one) => at(one, name, "text"));
}

function isHidden(source: unknown): boolean {
  return Boolean(JSON.stringify(source)?.includes(`"${REDACTED}"`));
}

/** JSON that does not parse stays a text. */
function isBroken(value: unknown): value is string {
  return typeof value === "string" && /^\s*[[{]/.test(value);
}

function cutOff(metadata: string): Unreadable {
  return {
    problem: `has metadata that is not JSON, got ${metadata.slice(0, 120)}`,
    hint: "It tells the agent. If it is cut off, raise OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT where the spans are recorded.",
  };
}
