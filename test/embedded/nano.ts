import { tmpdir } from "node:os";
import path from "node:path";
import {
  type EmbeddedEngine,
  type EmbeddedOptionsInput,
  startEmbeddedEngine,
} from "../../src/embedded/index.ts";

/** Models are written once for all test files. */
export const modelFolder = path.join(tmpdir(), "cachesage-test-models");

/** An engine with the nano model, small enough for many of them. */
export function startNano(options: EmbeddedOptionsInput = {}): Promise<EmbeddedEngine> {
  return startEmbeddedEngine({
    cacheDirectory: modelFolder,
    threads: 1,
    sequences: 16,
    contextTokens: 2048,
    maxRunning: 8,
    ...options,
  });
}

const vocabulary = (
  "the planner asks a reviewer to check every section for accurate sources before the writer sends the final draft to " +
  "customers who return an order with an invoice number and a refund request about delivery price and policy"
).split(" ");

/** Text of about `count` words that differs by seed. */
export function words(count: number, seed: number): string {
  let state = seed * 2654435761 + 12345;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return vocabulary[(state >>> 16) % vocabulary.length];
  }).join(" ");
}

export interface Message {
  readonly role: string;
  readonly content: unknown;
}

export const system = (content: string): Message => ({ role: "system", content });
export const user = (content: string): Message => ({ role: "user", content });

/** What matters of an answer. */
export interface Answer {
  readonly text: string;
  readonly finish: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** Sends a body to an engine as it is. */
export function post(
  engine: EmbeddedEngine,
  route: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${engine.baseURL}${route}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal: signal ?? null,
  });
}

/** Asks for a greedy answer. */
export async function ask(
  engine: EmbeddedEngine,
  messages: readonly Message[],
  fields: Readonly<Record<string, unknown>> = {},
  signal?: AbortSignal,
): Promise<Answer> {
  const body = { model: engine.model, messages, temperature: 0, max_tokens: 12, ...fields };
  const response = await post(engine, "/chat/completions", body, signal);
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${text}`);
  const { choices, usage } = JSON.parse(text) as {
    choices: [{ message: { content: string }; finish_reason: string }];
    usage: {
      prompt_tokens: number;
      completion_tokens: number;
      prompt_tokens_details: { cached_tokens: number };
    };
  };
  return {
    text: choices[0].message.content,
    finish: choices[0].finish_reason,
    promptTokens: usage.prompt_tokens,
    cachedTokens: usage.prompt_tokens_details.cached_tokens,
    outputTokens: usage.completion_tokens,
  };
}

/** An envelope with these actions. */
export function hints(...actions: readonly (readonly [string, unknown])[]) {
  return {
    protocol_version: "1" as const,
    message_id: "message",
    actions: actions.map(([action_type, payload], index) => ({
      action_id: `action-${index}`,
      action_type,
      action_version: "1" as const,
      payload,
    })),
  };
}

/** Names a request, as the adapter does. */
export function named(prefix: string, anchor: string, value?: number, anchorValue?: number) {
  return { kv_hints: hints(["kv.retain", { prefix, anchor, value, anchor_value: anchorValue }]) };
}
