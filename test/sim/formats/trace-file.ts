import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { TraceError } from "../../../src/errors.ts";
import { loadWorkload } from "../../../src/sim/load.ts";
import type { Workload } from "../../../src/sim/workload.ts";

const folder = mkdtempSync(join(tmpdir(), "cachesage-formats-"));
afterAll(() => rmSync(folder, { recursive: true }));
let written = 0;

/** Path of a recorded fixture. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

/** Writes records as JSON lines, or content as it is, and gives the file's path. */
export function traceFile(content: readonly unknown[] | string | Uint8Array, name = "trace.jsonl"): string {
  const file = join(folder, `${++written}-${name}`);
  const isText = typeof content === "string" || content instanceof Uint8Array;
  writeFileSync(file, isText ? content : content.map((record) => `${JSON.stringify(record)}\n`).join(""));
  return file;
}

/** Reads records that are given as JSON lines. */
export function read(records: readonly unknown[], format?: string): Promise<Workload> {
  return loadWorkload(traceFile(records), format);
}

/** The complaint about records that cannot be read. */
export async function complaint(records: readonly unknown[], format?: string): Promise<TraceError> {
  const error: unknown = await read(records, format).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TraceError)) throw new Error(`no TraceError, but ${String(error)}`);
  return error;
}

/** Blocks that the prompts of two calls have in common at their start. */
export function shared(a: Int32Array = new Int32Array(), b: Int32Array = new Int32Array()): number {
  const parting = a.findIndex((block, index) => block !== b[index]);
  return parting < 0 ? a.length : parting;
}
