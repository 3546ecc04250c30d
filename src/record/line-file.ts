import { openSync, writeSync } from "node:fs";

/**
 * Appends lines to a file that other processes append to as well. Writes are synchronous: one takes as long as copying the
 * lines to the system's page cache, and what is written is in the file even if the process is killed right after. An asynchronous
 * write that is under way when the application calls `process.exit` would be lost.
 */
export class LineFile {
  readonly #file: string;
  readonly #onError: (error: unknown) => void;
  /** Negative when the file could not be written: then there is no second try. */
  #descriptor: number | undefined;

  constructor(file: string, onError: (error: unknown) => void) {
    this.#file = file;
    this.#onError = onError;
  }

  /** Writes whole lines, line ends included. Never throws. */
  append(lines: string): void {
    if (this.#descriptor === -1) return;
    try {
      this.#descriptor ??= openSync(this.#file, "a");
      const bytes = Buffer.from(lines);
      // One call as a rule, so that lines of several processes do not mix.
      for (let written = 0; written < bytes.length;) written += writeSync(this.#descriptor, bytes, written);
    } catch (error) {
      this.#descriptor = -1;
      this.#onError(error);
    }
  }
}
