import { trainVocabulary } from "../embedded/model/vocabulary.ts";
import { InvalidOptionsError } from "../errors.ts";

/**
 * Text for recorded blocks: the same words for the same block, other words for another. Every word is exactly one token of
 * the preset models wherever it stands, so that a text has as many tokens as it has words.
 */
export class BlockText {
  /** With the space before it, which is part of the token. */
  readonly #words: readonly string[];

  constructor() {
    // A byte-level vocabulary writes the space before a word as Ġ.
    this.#words = trainVocabulary().tokens.flatMap((token) =>
      /^Ġ[a-z]+$/.test(token) ? ` ${token.slice(1)}` : [],
    );
  }

  /** Blocks that can be told apart by two words each. */
  get limit(): number {
    return this.#words.length ** 2;
  }

  /** Throws InvalidOptionsError when a workload has more blocks than can be told apart. */
  check(blockCount: number): void {
    if (blockCount > this.limit)
      throw new InvalidOptionsError(
        "bench",
        `--trace: at most ${this.limit} distinct blocks can be played, got ${blockCount}`,
        {
          hint: "Play a part of the trace.",
        },
      );
  }

  /** The first `count` words of a block; the first two are its number. */
  words(block: number, count: number): string {
    const { length } = this.#words;
    let text = "";
    let state = Math.imul(block + 1, 0x9e3779b1) >>> 0;
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const digit = i === 0 ? block % length : i === 1 ? Math.floor(block / length) : (state >>> 8) % length;
      text += this.#words[digit] ?? "";
    }
    return text;
  }
}
