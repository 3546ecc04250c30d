import { createReadStream, createWriteStream, rmSync, writeFileSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { messageOf, TraceError } from "../errors.ts";

const CHUNK_BYTES = 65_536;

/** What a recording holds. */
export interface RecordedCounts {
  readonly calls: number;
  readonly runs: number;
  readonly agents: number;
}

/** The file that a recording is written to. */
export interface TraceFile {
  /** Where processes append their lines: the file itself, or, if it is to be gzipped, one beside it. */
  readonly lines: string;
  /** Lets go of an older trace. */
  begin(): void;
  /** Puts the file into its final form, and tells what it holds. @throws TraceError when it cannot be gzipped. */
  finish(): Promise<RecordedCounts>;
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
      await cutHalfLine(lines);
      const counts = await countLines(lines);
      if (isZipped) await zip(lines, out);
      return counts;
    },
  };
}

/** Where a process was killed or the disk is full, half a line may stand at the end, and no reader would take the file. */
async function cutHalfLine(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    const { size } = await handle.stat();
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let end = size;
    for (let newline = -1; newline < 0 && end > 0;) {
      const from = Math.max(0, end - CHUNK_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, end - from, from);
      newline = chunk.subarray(0, bytesRead).lastIndexOf("\n");
      end = from + newline + 1;
    }
    if (end < size) await handle.truncate(end);
  } finally {
    await handle.close();
  }
}

async function zip(lines: string, out: string): Promise<void> {
  try {
    await pipeline(createReadStream(lines), createGzip(), createWriteStream(out));
  } catch (cause) {
    await rm(out, { force: true }).catch(() => {});
    throw new TraceError(out, 0, `cannot be written (${messageOf(cause)})`, {
      hint: `What was recorded is in ${lines}, not gzipped.`,
      cause,
    });
  }
  await rm(lines);
}

async function countLines(file: string): Promise<RecordedCounts> {
  let calls = 0;
  const runs = new Set<unknown>();
  const agents = new Set<unknown>();
  for await (const text of createInterface({ input: createReadStream(file) })) {
    const line = parsed(text);
    // The end of a run names no agent.
    if (line?.["agent"] === undefined) continue;
    calls++;
    runs.add(line["session"]);
    agents.add(line["agent"]);
  }
  return { calls, runs: runs.size, agents: agents.size };
}

/** Undefined for a line that two processes have written into each other's. */
function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
