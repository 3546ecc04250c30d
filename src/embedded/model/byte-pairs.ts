/** How GPT-2 cuts text before merging; llama.cpp does the same for `tokenizer.ggml.pre` = `gpt-2`. */
const pieces = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** The printable character that stands for each byte in a byte-level vocabulary. */
export const byteCharacters: readonly string[] = byteAlphabet();

function byteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

interface Word {
  symbols: string[];
  readonly count: number;
}

/** How often a pair occurs, and the words in which it did at some time. */
interface Pair {
  count: number;
  readonly words: Set<Word>;
}

/** Learns up to `limit` byte-pair merges from text, most frequent pair first, ties in code-unit order. */
export function learnMerges(text: string, limit: number): readonly (readonly [string, string])[] {
  const pairs = new Map<string, Pair>();
  for (const word of countWords(text)) countPairs(pairs, word, 1);
  const merges: (readonly [string, string])[] = [];
  while (merges.length < limit) {
    const next = mostFrequent(pairs);
    const [left, right] = next.split(" ");
    if (left === undefined || right === undefined) break;
    merges.push([left, right]);
    for (const word of pairs.get(next)?.words ?? []) {
      countPairs(pairs, word, -1);
      word.symbols = merge(word.symbols, left, right);
      countPairs(pairs, word, 1);
    }
    pairs.delete(next);
  }
  return merges;
}

function countWords(text: string): Word[] {
  const counts = new Map<string, number>();
  for (const [piece] of text.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  return Array.from(counts, ([piece, count]) => ({
    symbols: Array.from(Buffer.from(piece), (byte) => byteCharacters[byte] ?? ""),
    count,
  }));
}

function countPairs(pairs: Map<string, Pair>, word: Word, sign: 1 | -1): void {
  for (let index = 1; index < word.symbols.length; index++) {
    // A space never occurs inside a symbol: the byte alphabet maps it away.
    const key = `${word.symbols[index - 1]} ${word.symbols[index]}`;
    let pair = pairs.get(key);
    if (pair === undefined) pairs.set(key, (pair = { count: 0, words: new Set() }));
    pair.count += sign * word.count;
    if (sign > 0) pair.words.add(word);
  }
}

/** A pair that occurs once is worth no token: then the result is empty. */
function mostFrequent(pairs: ReadonlyMap<string, Pair>): string {
  let best = "";
  let bestCount = 1;
  for (const [pair, { count }] of pairs)
    if (count > bestCount || (count === bestCount && pair < best)) [best, bestCount] = [pair, count];
  return best;
}

function merge(symbols: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let index = 0; index < symbols.length; index++) {
    const symbol = symbols[index] ?? "";
    if (symbol === left && symbols[index + 1] === right) {
      merged.push(left + right);
      index++;
    } else merged.push(symbol);
  }
  return merged;
}
