import type { AIMessageChunk, BaseMessage, UsageMetadata } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import type { ChatOpenAI } from "@langchain/openai";
import type { CallRecord } from "./call-log.ts";

export interface TimedAnswer {
  readonly text: string;
  readonly record: CallRecord;
}

/** Streams an answer and takes its times. */
export async function timedAnswer(
  model: Pick<ChatOpenAI, "stream">,
  prompt: BaseMessage[],
  agent: string,
  config: RunnableConfig,
): Promise<TimedAnswer> {
  const sentAt = performance.now();
  let firstAt: number | undefined;
  const chunks: AIMessageChunk[] = [];
  for await (const chunk of await model.stream(prompt, config)) {
    if (firstAt === undefined && chunk.text !== "") firstAt = performance.now();
    chunks.push(chunk);
  }
  const endedAt = performance.now();
  const whole =
    chunks.length > 0 ? chunks.reduce((head, tail): AIMessageChunk => head.concat(tail)) : undefined;
  const usage = whole?.usage_metadata as UsageMetadata | undefined;
  return {
    text: whole?.text ?? "",
    record: {
      agent,
      sentAt,
      ttftMs: (firstAt ?? endedAt) - sentAt,
      answerMs: endedAt - (firstAt ?? endedAt),
      promptTokens: usage?.input_tokens ?? 0,
      outputTokens: usage?.output_tokens ?? 0,
      cachedTokens: usage?.input_token_details?.cache_read,
    },
  };
}
