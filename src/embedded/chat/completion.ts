import type { EngineCore } from "../core.ts";
import type { GenerationResult } from "../generation.ts";
import { requestIdentity } from "../hints/apply-hints.ts";
import { HttpError } from "../http/http-error.ts";
import { KvBudgetError } from "../scheduler.ts";
import { AnswerText } from "./answer-text.ts";
import { type ChatRequest, toChat } from "./chat-request.ts";
import type { Prompt } from "./chat.ts";

/** Renders a request's prompt. Throws HttpError 404 or 400 when this engine cannot answer it. */
export function preparePrompt({ id, options, template }: EngineCore, body: ChatRequest): Prompt {
  if (body.model !== undefined && body.model !== null) checkModel(id, body.model);
  if (body.priority && options.schedulingPolicy !== "priority")
    throw new HttpError(
      400,
      "priority_scheduling_off",
      `priority must be 0 on an engine that serves first come first served, got ${body.priority}. ` +
        "Start it with --scheduling-policy priority.",
      "priority",
    );
  const { anchorMessages } = requestIdentity(body.kv_hints);
  const prompt = template.render(toChat(body, anchorMessages), true);
  const limit = Math.min(options.contextTokens, options.kvTokens) - 1;
  if (prompt.tokens.length > limit)
    throw new HttpError(
      400,
      "context_length_exceeded",
      `The prompt has ${prompt.tokens.length} tokens, this engine takes at most ${limit}.`,
      "messages",
    );
  return prompt;
}

/** Throws HttpError 404 when this engine serves another model than the one that was asked for. */
export function checkModel(id: string, asked: string): void {
  if (asked === id) return;
  throw new HttpError(
    404,
    "model_not_found",
    `The model ${JSON.stringify(asked)} does not exist, this is ${id}.`,
    "model",
  );
}

/** Computes an answer, handing on its text as it comes. Throws HttpError, or the reason `signal` was aborted for. */
export async function complete(
  { options, model, scheduler, metrics }: EngineCore,
  body: ChatRequest,
  prompt: Prompt,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<GenerationResult> {
  const started = performance.now();
  const { prefix, anchor } = requestIdentity(body.kv_hints);
  const answer = new AnswerText(model, typeof body.stop === "string" ? [body.stop] : (body.stop ?? []));
  const hand = (text: string): void => {
    if (text.length > 0) onText(text);
  };
  let isFirst = true;
  const request = {
    prompt: prompt.tokens,
    anchorLength: prompt.anchorLength,
    prefix,
    anchor,
    maxTokens: Math.min(
      body.max_completion_tokens ?? body.max_tokens ?? options.answerTokens,
      options.contextTokens - prompt.tokens.length,
    ),
    priority: body.priority ?? 0,
    sampling: {
      temperature: body.temperature ?? 1,
      topP: body.top_p ?? 1,
      topK: body.top_k ?? 40,
      seed: (body.seed ?? options.seed) >>> 0,
    },
    isEnd: (token: number) => model.isEogToken(token as ReturnType<typeof model.tokenize>[number]),
    onToken: (token: number) => {
      if (isFirst) metrics.observeFirstToken(performance.now() - started);
      isFirst = false;
      hand(answer.push(token));
      return answer.isStopped;
    },
  };
  try {
    const result = await scheduler.generate(request, signal);
    hand(answer.flush());
    metrics.observeRequest(performance.now() - started);
    return result;
  } catch (error) {
    if (error instanceof KvBudgetError) throw new HttpError(503, "kv_cache_full", error.message);
    throw error;
  }
}
