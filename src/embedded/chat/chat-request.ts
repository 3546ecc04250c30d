import { z } from "zod";
import { hintEnvelope } from "../hints/envelope.ts";
import type { Chat, ChatMessage } from "./chat.ts";

const textPart = z.object({ type: z.literal("text", "only text parts are supported"), text: z.string() });
const content = z.union([z.string(), z.array(textPart)], "content is a string or a list of text parts");

const toolCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

const message = z.discriminatedUnion("role", [
  z.object({ role: z.enum(["system", "developer", "user"]), content }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish(),
    tool_calls: z.array(toolCall).nullish(),
  }),
  z.object({ role: z.literal("tool"), content, tool_call_id: z.string().nullish() }),
]);

const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({ name: z.string().min(1) }),
});

const toolChoice = z.enum(
  ["none", "auto"],
  'tool_choice can only be "none" or "auto": this engine reads tools as prompt, and calls none',
);

/** Fields that ask for another answer than this engine gives, each with the values that ask for nothing. */
const refused = {
  n: z.literal(1, "n can only be 1").nullish(),
  tool_choice: toolChoice.nullish(),
  response_format: z
    .object(
      { type: z.literal("text", 'response_format can only be {"type":"text"}') },
      'response_format can only be {"type":"text"}',
    )
    .nullish(),
  logprobs: z.literal(false, "logprobs are not computed").nullish(),
  top_logprobs: z.literal(0, "logprobs are not computed").nullish(),
  frequency_penalty: z.literal(0, "frequency_penalty can only be 0").nullish(),
  presence_penalty: z.literal(0, "presence_penalty can only be 0").nullish(),
  repetition_penalty: z.literal(1, "repetition_penalty can only be 1").nullish(),
  logit_bias: z.strictObject({}, "logit_bias can only be empty").nullish(),
  modalities: z.tuple([z.literal("text")], 'modalities can only be ["text"]').nullish(),
  audio: z.null("audio is not made").optional(),
  functions: z.tuple([], "functions are not read; give tools").nullish(),
  function_call: z.enum(["none", "auto"], "functions are not called").nullish(),
  web_search_options: z.null("the web is not searched").optional(),
  structured_outputs: z.null("answers are not constrained").optional(),
  guided_json: z.null("answers are not constrained").optional(),
  guided_regex: z.null("answers are not constrained").optional(),
  guided_choice: z.null("answers are not constrained").optional(),
  guided_grammar: z.null("answers are not constrained").optional(),
};

/** The messages and tools of a prompt. */
export const promptBody = z.object({
  messages: z.array(message).min(1, "messages is empty"),
  tools: z.array(tool).nullish(),
});

/** Body of a chat completion request. Fields that it does not know are ignored, such as `user` or `metadata`. */
export const chatRequest = promptBody.extend({
  ...refused,
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(0).nullish(),
  max_completion_tokens: z.int().min(0).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())], "stop is a string or a list of strings").nullish(),
  /** Lower goes first; 0 where it is left out. */
  priority: z.int().nullish(),
  kv_hints: hintEnvelope.nullish(),
});

export type ChatRequest = z.output<typeof chatRequest>;

/** The conversation of a request body. @param anchorMessages see `Chat`; default: 0. */
export function toChat(body: z.output<typeof promptBody>, anchorMessages = 0): Chat {
  return { messages: body.messages.map((item) => toMessage(item)), tools: body.tools ?? [], anchorMessages };
}

function toMessage(item: z.output<typeof message>): ChatMessage {
  const text = contentText(item.content);
  if (item.role === "developer") return { role: "system", text };
  if (item.role !== "assistant") return { role: item.role, text };
  const calls = (item.tool_calls ?? []).map((call) => JSON.stringify(call.function));
  return { role: "assistant", text: [text, ...calls].filter((part) => part.length > 0).join("\n") };
}

function contentText(value: z.output<typeof content> | null | undefined): string {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : value.map((part) => part.text).join("");
}
