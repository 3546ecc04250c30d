import type { LlamaModel, Token } from "node-llama-cpp";

/** What a detokenizer gives for bytes that are not yet a whole character. */
const incomplete = "\uFFFD";
/** A UTF-8 character has at most four bytes, so no more tokens than that are worth waiting for. */
const longestCharacter = 4;

/** Turns the tokens of an answer into text, whole characters at a time, and ends it before a stop string. */
export class AnswerText {
  readonly #model: LlamaModel;
  readonly #stops: readonly string[];
  #before: Token[] = [];
  #pending: Token[] = [];
  /** Text that may turn out to be the beginning of a stop string. */
  #held = "";
  #isStopped = false;

  constructor(model: LlamaModel, stops: readonly string[]) {
    this.#model = model;
    this.#stops = stops.filter((stop) => stop.length > 0);
  }

  /** True once a stop string has appeared. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Takes a token; returns the text that is certain to be part of the answer. */
  push(token: number): string {
    this.#pending.push(token as Token);
    const text = this.#model.detokenize(this.#pending, false, this.#before);
    if (text.endsWith(incomplete) && this.#pending.length < longestCharacter) return "";
    this.#before = [...this.#before, ...this.#pending].slice(-longestCharacter);
    this.#pending = [];
    return this.#release(text);
  }

  /** The text that is left when no more tokens come. */
  flush(): string {
    if (this.#isStopped) return "";
    const text = this.#held + this.#model.detokenize(this.#pending, false, this.#before);
    this.#held = "";
    this.#pending = [];
    return text;
  }

  #release(text: string): string {
    const candidate = this.#held + text;
    const end = this.#stops
      .map((stop) => candidate.indexOf(stop))
      .filter((index) => index >= 0)
      .reduce((least, index) => Math.min(least, index), Infinity);
    if (end < Infinity) {
      this.#isStopped = true;
      this.#held = "";
      return candidate.slice(0, end);
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => overlap(candidate, stop)));
    this.#held = candidate.slice(candidate.length - keep);
    return candidate.slice(0, candidate.length - keep);
  }
}

/** Length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
