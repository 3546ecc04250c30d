import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { chatRequest, type ChatRequest } from "../chat/chat-request.ts";
import type { Prompt } from "../chat/chat.ts";
import { complete, preparePrompt } from "../chat/completion.ts";
import type { EngineCore } from "../core.ts";
import type { GenerationResult } from "../generation.ts";
import { applyHints } from "../hints/apply-hints.ts";
import { errorBody, HttpError, readBody } from "./http-error.ts";

/** POST /v1/chat/completions. */
export async function chatRoute(core: EngineCore, context: Context): Promise<Response> {
  const body = await readBody(context.req, chatRequest);
  const prompt = preparePrompt(core, body);
  const envelope = body.kv_hints;
  if (envelope !== null && envelope !== undefined)
    void applyHints(
      { ...core, pool: core.cache.pool, contextTokens: core.options.contextTokens },
      envelope,
    ).then((reply) => core.metrics.observeHints(envelope, reply));
  return body.stream === true ? stream(core, context, body, prompt) : answer(core, context, body, prompt);
}

async function answer(
  core: EngineCore,
  context: Context,
  body: ChatRequest,
  prompt: Prompt,
): Promise<Response> {
  let content = "";
  const result = await complete(core, body, prompt, context.req.raw.signal, (text) => {
    content += text;
  });
  return context.json({
    ...heading(core, "chat.completion"),
    choices: [
      {
        index: 0,
        message: { role: "assistant", content, refusal: null },
        logprobs: null,
        finish_reason: result.finishReason,
      },
    ],
    usage: usage(prompt, result),
  });
}

function stream(core: EngineCore, context: Context, body: ChatRequest, prompt: Prompt): Response {
  const head = heading(core, "chat.completion.chunk");
  const withUsage = body.stream_options?.include_usage === true;
  return streamSSE(context, async (events) => {
    const send = (data: unknown): Promise<void> => events.writeSSE({ data: JSON.stringify(data) });
    const chunk = (delta: unknown, finish: string | null): Promise<void> =>
      send({
        ...head,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
        ...(withUsage && { usage: null }),
      });
    await chunk({ role: "assistant", content: "" }, null);
    try {
      const result = await complete(core, body, prompt, context.req.raw.signal, (text) => {
        void chunk({ content: text }, null);
      });
      await chunk({}, result.finishReason);
      if (withUsage) await send({ ...head, choices: [], usage: usage(prompt, result) });
      await events.writeSSE({ data: "[DONE]" });
    } catch (error) {
      if (context.req.raw.signal.aborted) return;
      const { status, code } = error instanceof HttpError ? error : { status: 500, code: "internal_error" };
      await send(errorBody(status, code, error instanceof Error ? error.message : String(error)));
    }
  });
}

function heading({ id }: EngineCore, object: string): Readonly<Record<string, unknown>> {
  return { id: `chatcmpl-${randomUUID()}`, object, created: Math.floor(Date.now() / 1000), model: id };
}

function usage({ tokens }: Prompt, { cachedTokens, outputTokens }: GenerationResult): unknown {
  return {
    prompt_tokens: tokens.length,
    completion_tokens: outputTokens,
    total_tokens: tokens.length + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
