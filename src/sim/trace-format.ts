import { TraceError } from "../errors.ts";
import type { Workload } from "./workload.ts";

/** One JSON value of a trace file, with the line it begins at (counted from 1). */
export interface TraceRecord {
  readonly line: number;
  readonly value: unknown;
}

/** What a reader gets: the file's records one by one, and a way to complain about one of them. */
export interface TraceSource {
  /** Path or name, as the user gave it. */
  readonly file: string;
  /** File name without folder and extensions; the workload's name. */
  readonly name: string;
  readonly records: AsyncIterable<TraceRecord>;
  /** An error that names file and line: what was wrong, what was got. */
  fail(line: number, problem: string, hint?: string): TraceError;
}

/** A trace format as a file in `formats/` declares it, as its default export. */
export interface TraceFormat {
  readonly name: string;
  readonly description: string;
  /** Whether a file whose first record is this one is of this format. */
  matches(first: unknown): boolean;
  /** Reads all of it. Throws TraceError where a record is not as the format has it; nothing is skipped silently. */
  read(source: TraceSource): Promise<Workload>;
}
