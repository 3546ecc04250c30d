import { createReadStream } from "node:fs";
import { open as openFile, readFile } from "node:fs/promises";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createGunzip, gunzipSync } from "node:zlib";
import { CacheSageError, TraceError } from "../errors.ts";
import { chainBlocks } from "./chained-blocks.ts";
import { formats } from "./registries.ts";
import type { TraceFormat, TraceRecord, TraceSource } from "./trace-format.ts";
import type { Workload } from "./workload.ts";

const GZIP = 0x1f8b;

/**
 * Reads a trace file, plain or gzipped: JSON lines, one JSON array, or one JSON object over many lines. Which format it is
 * shows in its first record.
 *
 * @param format name of the format; by default the first that knows the first record.
 * @param signal looked at with each record; when it aborts, its reason is thrown.
 * @throws TraceError, UnknownNameError.
 */
export async function loadWorkload(file: string, format?: string, signal?: AbortSignal): Promise<Workload> {
  let latest = 0;
  const source: TraceSource = {
    file,
    name: basename(file).replace(/(\.[a-z]\w*)+$/i, ""),
    records: recordsOf(file, (line) => {
      signal?.throwIfAborted();
      latest = line;
    }),
    fail: (line, problem, hint) => new TraceError(file, line, problem, { ...(hint && { hint }) }),
  };
  const reader = format === undefined ? await detect(source) : await formats.load(format);
  const workload = await reader.read(source).catch((error: unknown) => {
    if (error instanceof CacheSageError || signal?.aborted) throw error;
    // Such as numbers that no memory can hold.
    throw cannotRead(file, latest, error);
  });
  if (workload.runs.length === 0) throw source.fail(0, "holds no model call");
  return chainBlocks(workload);
}

async function detect(source: TraceSource): Promise<TraceFormat> {
  const names = await formats.names();
  for await (const { value, line } of source.records) {
    for (const name of names) {
      const format = await formats.load(name);
      if (format.matches(value)) return format;
    }
    throw source.fail(line, `of no known format, got ${JSON.stringify(value)?.slice(0, 120)}`, known(names));
  }
  throw source.fail(0, "holds no record", known(names));
}

function known(names: readonly string[]): string {
  return `Formats are: ${names.join(", ")}.`;
}

/** Iterating again reads the file again. @param onRecord told the line of each record before it is given out. */
function recordsOf(file: string, onRecord: (line: number) => void): AsyncIterable<TraceRecord> {
  return {
    async *[Symbol.asyncIterator]() {
      for await (const record of iterate(file)) {
        onRecord(record.line);
        yield record;
      }
    },
  };
}

async function* iterate(file: string): AsyncGenerator<TraceRecord> {
  try {
    if (await isOneDocument(file)) return yield* elements(file);
    let line = 0;
    const input = await open(file);
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      if (text.trim() !== "") yield { line, value: parse(file, line, text) };
    }
  } catch (error) {
    if (error instanceof TraceError) throw error;
    throw cannotRead(file, 0, error);
  }
}

function cannotRead(file: string, line: number, cause: unknown): TraceError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const isTooLong = ["ERR_STRING_TOO_LONG", "ERR_FS_FILE_TOO_LARGE"].includes(codeOf(cause));
  return new TraceError(file, line, `cannot be read: ${reason}`, {
    cause,
    ...(isTooLong && { hint: "Write a record a line (jq -c '.[]'): such files may have any length." }),
  });
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code);
}

/** Whatever its name: by the first two bytes of every gzip file (RFC 1952, section 2.3.1). */
async function isGzip(file: string): Promise<boolean> {
  const handle = await openFile(file);
  try {
    const kind = await handle.stat();
    if (kind.isFIFO())
      throw new TraceError(file, 0, "is a pipe, and is read more than once", {
        hint: "Write it to a file first; gzipped ones are read as they are.",
      });
    if (kind.isDirectory())
      throw new TraceError(file, 0, "is a folder, not a trace file", {
        hint: "Name the files in it, one by one.",
      });
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.readUInt16BE() === GZIP;
  } finally {
    await handle.close();
  }
}

async function open(file: string): Promise<Readable> {
  const isZipped = await isGzip(file);
  const raw = createReadStream(file);
  if (!isZipped) return raw;
  const unzipped = createGunzip();
  raw.on("error", (error) => unzipped.destroy(error));
  return raw.pipe(unzipped);
}

/** A file that begins with a bracket, or with a brace alone on its line, is one JSON value, whatever its name. */
async function isOneDocument(file: string): Promise<boolean> {
  for await (const chunk of await open(file)) {
    const text = String(chunk);
    if (/\S/.test(text)) return /^\s*(\[|\{\s*\n)/.test(text);
  }
  return false;
}

/**
 * Elements of one JSON array, or the only object. Lines are not known then: the number is that of the element, counted
 * from 1.
 */
async function* elements(file: string): AsyncGenerator<TraceRecord> {
  const bytes = await readFile(file);
  const text = ((await isGzip(file)) ? gunzipSync(bytes) : bytes).toString();
  const values = [parse(file, 1, text)].flat();
  for (const [index, value] of values.entries()) yield { line: index + 1, value };
}

function parse(file: string, line: number, text: string): unknown {
  try {
    // Some editors write a byte order mark at the beginning.
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new TraceError(file, line, `not JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
