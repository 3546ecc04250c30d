import { createReadStream, createWriteStream, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

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
  /** Puts the file into its final form, and tells what it holds. */
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
      const counts = await countLines(lines);
      if (isZipped) {
        await pipeline(createReadStream(lines), createGzip(), createWriteStream(out));
        await rm(lines);
      }
      return counts;
    },
  };
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

/** Undefined for half a line, which a process that was killed may have left. */
function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
