import { byteCharacters, learnMerges } from "./byte-pairs.ts";
import { corpus } from "./corpus.ts";
import { vocabularySize } from "./presets.ts";

/** Control tokens of the preset models; the first ends the text, the others are role boundaries. */
export const controlTokens = {
  endOfText: "<|endoftext|>",
  system: "<|system|>",
  user: "<|user|>",
  assistant: "<|assistant|>",
  tool: "<|tool|>",
  end: "<|end|>",
} as const;

/** A byte-level BPE vocabulary in GGUF's terms. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** GGUF token types: 1 normal, 3 control. */
  readonly types: readonly number[];
  readonly merges: readonly string[];
  /** True for tokens that a greedy answer may contain: text made of printable ASCII alone. */
  isPrintable(token: number): boolean;
}

/** Trains the vocabulary; the result is the same for every call. */
export function trainVocabulary(): Vocabulary {
  const controls = Object.values(controlTokens);
  const merges = learnMerges(corpus(), vocabularySize - byteCharacters.length - controls.length);
  const text = [...byteCharacters, ...merges.map((pair) => pair.join(""))];
  const printable = new Set(byteCharacters.slice(0x20, 0x7f));
  const isPrintable = text.map((token) => Array.from(token).every((character) => printable.has(character)));
  return {
    tokens: [...text, ...controls],
    types: [...text.map(() => 1), ...controls.map(() => 3)],
    merges: merges.map((pair) => pair.join(" ")),
    isPrintable: (token) => isPrintable[token] ?? false,
  };
}
