import type { ChatHistoryItem, ChatWrapper, LlamaModel } from "node-llama-cpp";
import { commonLength } from "../cache/block.ts";
import { type Chat, type ChatMessage, type ChatTemplate, splitHead } from "./chat.ts";

/**
 * The template that a GGUF file brings, through node-llama-cpp's chat wrapper. Wrappers know neither a fixed head nor
 * prompts that are not about to be answered, so both are found as what two renderings have in common.
 */
export function wrapperTemplate(model: LlamaModel, wrapper: ChatWrapper): ChatTemplate {
  const render = (head: string, items: readonly ChatHistoryItem[]): readonly number[] => {
    const chatHistory: ChatHistoryItem[] = [
      ...(head ? [{ type: "system", text: head } as const] : []),
      ...items,
    ];
    return wrapper.generateContextState({ chatHistory }).contextText.tokenize(model.tokenizer);
  };
  return {
    render(chat: Chat, forAnswer: boolean) {
      const { head, rest } = splitHead(chat);
      const items = rest.map((message) => historyItem(message));
      const answer = render(head, [...items, { type: "model", response: [""] }]);
      const tokens = forAnswer
        ? answer
        : answer.slice(0, commonLength(answer, render(head, [...items, { type: "user", text: "." }])));
      const common = items.slice(0, chat.anchorMessages ?? 0);
      const hasAnchor = head !== "" || common.length > 0;
      const anchor = hasAnchor
        ? render(head, [...common, { type: "user", text: "." }, { type: "model", response: [""] }])
        : [];
      return { tokens, anchorLength: commonLength(anchor, tokens) };
    },
  };
}

function historyItem({ role, text }: ChatMessage): ChatHistoryItem {
  if (role === "assistant") return { type: "model", response: [text] };
  if (role === "system") return { type: "system", text };
  return { type: "user", text: role === "tool" ? `Tool result: ${text}` : text };
}
