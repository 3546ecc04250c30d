import { createReadStream, createWriteStream, rmSync, writeFileSync } from "node:fs";
import { stat, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

/** The file that a recording is written to. */
export interface TraceFile {
  /** Where processes append their lines: the file itself, or, if it is to be gzipped, one beside it. */
  readonly lines: string;
  /** Lets go of an older trace. */
  begin(): void;
  /** Puts the file into its final form, and tells whether it holds a line. */
  finish(): Promise<boolean>;
}

/** @param out absolute path; gzipped at the end if it ends in `.gz`. */
export function traceFile(out: string): TraceFile {
  const isZipped = out.endsWith(".gz");
  const lines = isZipped ? `${out}.part` : out;
  return {
    lines,
    begin() {
      writeFileSync(lines, "");
      if (isZipped) rmSync(out, { force: true });
    },
    async finish() {
      const { size } = await stat(lines);
      if (isZipped) {
        await pipeline(createReadStream(lines), createGzip(), createWriteStream(out));
        await rm(lines);
      }
      return size > 0;
    },
  };
}
