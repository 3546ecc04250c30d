/** JSON writes these as they are, one byte each: ASCII from # on, but for the backslash. */
const FIRST = 35;
const BACKSLASH = 92;
const SYMBOLS = 91;
/** Smaller numbers take one symbol, larger ones two. */
const SHORT = 58;
const LARGEST = SHORT + (SYMBOLS - SHORT) * SYMBOLS - 1;

/** What `writeCounts` returns, or any other text of its symbols. */
export const WRITTEN_COUNTS = /^[#-[\]-~]*$/;

/**
 * Writes counts as text, rounded to whole numbers of at most 3060: most counts are small, and those take one byte, with
 * neither commas nor brackets.
 */
export function writeCounts(counts: Iterable<number>): string {
  let text = "";
  for (const count of counts) {
    const whole = Math.min(LARGEST, Math.round(count));
    if (whole < SHORT) text += symbol(whole);
    else text += symbol(SHORT + Math.floor((whole - SHORT) / SYMBOLS)) + symbol((whole - SHORT) % SYMBOLS);
  }
  return text;
}

/** Reads what `writeCounts` wrote. */
export function readCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const value = valueAt(text, at);
    if (value < SHORT) counts.push(value);
    else counts.push(SHORT + (value - SHORT) * SYMBOLS + (++at < text.length ? valueAt(text, at) : 0));
  }
  return counts;
}

/** Reads numbers one after the other, 0 beyond the end. */
export class CountReader {
  readonly #counts: readonly number[];
  #at = 0;

  constructor(text: string) {
    this.#counts = readCounts(text);
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#counts.length;
  }

  next(): number {
    return this.#counts[this.#at++] ?? 0;
  }

  /** As many numbers as the next one says. */
  list(): readonly number[] {
    const length = this.next();
    const list = this.#counts.slice(this.#at, this.#at + length);
    this.#at += length;
    return list;
  }
}

function symbol(value: number): string {
  const code = FIRST + value;
  return String.fromCharCode(code < BACKSLASH ? code : code + 1);
}

function valueAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return (code < BACKSLASH ? code : code - 1) - FIRST;
}
