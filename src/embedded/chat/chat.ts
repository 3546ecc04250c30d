/** A conversation in the terms that prompt templates need. */
export interface Chat {
  readonly messages: readonly ChatMessage[];
  /** Tool definitions as the client sent them. */
  readonly tools: readonly unknown[];
  /** Messages after the system messages at the head that belong to the anchor; default: 0. */
  readonly anchorMessages?: number;
}

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  /** Text; an assistant's tool calls are part of it. */
  readonly text: string;
}

/** A rendered prompt. */
export interface Prompt {
  readonly tokens: readonly number[];
  /** Leading tokens that system text, tools and the anchor's messages make up: the same for every call of an agent. */
  readonly anchorLength: number;
}

/** Turns conversations into tokens. */
export interface ChatTemplate {
  /** With `forAnswer`, the prompt ends where the answer begins; without, where any next message may. */
  render(chat: Chat, forAnswer: boolean): Prompt;
}

/** Splits the system messages at the head, which tools follow, from the rest. */
export function splitHead(chat: Chat): { readonly head: string; readonly rest: readonly ChatMessage[] } {
  const first = chat.messages.findIndex(({ role }) => role !== "system");
  const count = first < 0 ? chat.messages.length : first;
  const parts = chat.messages.slice(0, count).map(({ text }) => text);
  if (chat.tools.length > 0)
    parts.push(`Tools:\n${chat.tools.map((tool) => JSON.stringify(tool)).join("\n")}`);
  return { head: parts.join("\n\n"), rest: chat.messages.slice(count) };
}
