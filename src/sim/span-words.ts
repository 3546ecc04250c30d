import type { AgentId } from "../runtime/event.ts";
import type { Answer, PromptText } from "../runtime/prompt-text.ts";
import type { MessageTrace, Place, Span } from "./message-blocks.ts";
import type { TraceSource } from "./trace-format.ts";

/** Why the prompt of a call cannot be read, as the end of a sentence on its span, and what to do. */
export interface Unreadable {
  readonly problem: string;
  readonly hint: string;
}

/** A model call as one of the conventions for attributes tells it. Tokens: absent where nobody counted. */
export interface ToldCall {
  readonly prompt: PromptText | Unreadable;
  readonly answer: Answer;
  readonly promptTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
}

/** What the attributes of a span say, in the words of one of the conventions for them. */
export interface SpanWords extends Place {
  /** Agent of the calls in the span where no span around them names one. */
  readonly stage?: AgentId;
  /** Absent: the span is no model call. */
  readonly call?: ToldCall;
}

/** Whether a prompt was found. */
export function isReadable({ prompt }: ToldCall): boolean {
  return !("problem" in prompt);
}

/** @throws TraceError when the file has the span already. */
export function addSpan(
  source: TraceSource,
  trace: MessageTrace,
  line: number,
  span: Span,
  { call, step, namespace, ...place }: SpanWords,
): void {
  const placed = { ...span, ...place };
  if (!call) return trace.add(line, placed);
  const { prompt, ...rest } = call;
  trace.add(line, placed, {
    ...rest,
    ...(step !== undefined && { step }),
    ...(namespace !== undefined && { namespace }),
    prompt:
      "problem" in prompt
        ? source.fail(line, `span ${span.id} (${span.name}) ${prompt.problem}`, prompt.hint)
        : trace.blocks(prompt),
  });
}

/** A text that is not empty. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** 64-bit integers are strings in OTLP/JSON. */
export function tokens(value: unknown): number | undefined {
  const count = Number(value ?? Number.NaN);
  return Number.isNaN(count) ? undefined : count;
}
