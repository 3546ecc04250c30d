import type { Usage } from "../runtime/event.ts";
import { isObject, text } from "./shapes.ts";
import type { Unfinished } from "./unfinished.ts";

/** Usage as LangChain reports it at the end of a call. A field that the engine left out stays out: that is not 0. */
export function usageOf(output: unknown): Usage {
  const message = generationOf(output)?.["message"];
  const usage = isObject(message) ? message["usage_metadata"] : undefined;
  if (isObject(usage)) {
    const details = isObject(usage["input_token_details"]) ? usage["input_token_details"] : {};
    const { cache_read: cached, cache_creation: written } = details;
    return counted(usage["input_tokens"], usage["output_tokens"], cached, written ?? writtenAsSent(message));
  }
  const { llmOutput } = isObject(output) ? output : {};
  const totals = isObject(llmOutput) && isObject(llmOutput["tokenUsage"]) ? llmOutput["tokenUsage"] : {};
  return counted(totals["promptTokens"], totals["completionTokens"]);
}

/** Usage as an OpenAI-compatible server reports it, in Chat Completions or Responses. */
export function wireUsage(usage: unknown): Usage {
  if (!isObject(usage)) return {};
  const details = usage["prompt_tokens_details"] ?? usage["input_tokens_details"];
  const { cached_tokens: cached, cache_write_tokens: written } = isObject(details) ? details : {};
  return counted(
    usage["prompt_tokens"] ?? usage["input_tokens"],
    usage["completion_tokens"] ?? usage["output_tokens"],
    cached,
    written,
  );
}

/** ChatOpenAI hands this number on in the server's own words alone. */
function writtenAsSent(message: unknown): unknown {
  const metadata = isObject(message) ? message["response_metadata"] : undefined;
  return isObject(metadata) ? wireUsage(metadata["usage"]).writtenTokens : undefined;
}

/** Text of an answer that asks for no tools; undefined for any other. */
export function answerOf(output: unknown): string | undefined {
  const generation = generationOf(output);
  const message = generation?.["message"];
  if (!generation || (isObject(message) && callsTools(message))) return undefined;
  return text(generation["text"]);
}

/** Whether an answer asks for tools; undefined where it is no chat message. */
export function asksForTools(output: unknown): boolean | undefined {
  const message = generationOf(output)?.["message"];
  return isObject(message) ? callsTools(message) : undefined;
}

function callsTools(message: Readonly<Record<string, unknown>>): boolean {
  return [message["tool_calls"], message["invalid_tool_calls"]].some(
    (calls) => Array.isArray(calls) && calls.length > 0,
  );
}

function generationOf(output: unknown): Readonly<Record<string, unknown>> | undefined {
  const generations = isObject(output) ? output["generations"] : undefined;
  const first: unknown = Array.isArray(generations) ? generations[0] : undefined;
  const generation: unknown = Array.isArray(first) ? first[0] : undefined;
  return isObject(generation) ? generation : undefined;
}

function counted(prompt: unknown, output: unknown, cached?: unknown, written?: unknown): Usage {
  const usage: Unfinished<Usage> = {};
  if (isCount(prompt)) usage.promptTokens = prompt;
  if (isCount(output)) usage.outputTokens = output;
  if (isCount(cached)) usage.cachedTokens = cached;
  if (isCount(written)) usage.writtenTokens = written;
  return usage;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
