import type { LlamaModel } from "node-llama-cpp";
import { controlTokens } from "../model/vocabulary.ts";
import { type ChatTemplate, splitHead } from "./chat.ts";

const { system, user, assistant, tool, end } = controlTokens;
const rememberedCharacters = 4_000_000;
const roleTokens = { system, user, assistant, tool } as const;

/**
 * The preset models' own template: a control token, the text, a control token. Messages are tokenized one by one, so
 * the tokens of a prefix never change when messages are appended.
 */
export function controlTemplate(model: LlamaModel): ChatTemplate {
  const control = (text: string): readonly number[] => model.tokenize(text, true);
  const tokenize = memoize((text) => model.tokenize(text, false));
  const message = (role: keyof typeof roleTokens, text: string): readonly number[] => [
    ...control(roleTokens[role]),
    ...tokenize(text),
    ...control(end),
  ];
  return {
    render(chat, forAnswer) {
      const { head, rest } = splitHead(chat);
      const { anchorMessages = 0 } = chat;
      const tokens = head.length > 0 ? [...message("system", head)] : [];
      let anchorLength = tokens.length;
      for (const [index, { role, text }] of rest.entries()) {
        tokens.push(...message(role, text));
        if (index < anchorMessages) anchorLength = tokens.length;
      }
      if (forAnswer) tokens.push(...control(assistant));
      return { tokens, anchorLength };
    },
  };
}

/** Agents send the same texts again and again, and tokenizing costs more than the rest of a warm request. */
function memoize(tokenize: (text: string) => readonly number[]): (text: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  let characters = 0;
  return (text) => {
    let tokens = known.get(text);
    if (tokens !== undefined) return tokens;
    tokens = tokenize(text);
    characters += text.length;
    if (characters > rememberedCharacters) {
      known.clear();
      characters = text.length;
    }
    known.set(text, tokens);
    return tokens;
  };
}

/** True for models that have the control tokens of this template. */
export function hasControlTokens(model: LlamaModel): boolean {
  return Object.values(roleTokens).every((text) => model.tokenize(text, true).length === 1);
}
