import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { traceFile } from "../../src/record/trace-file.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "cachesage-trace-file-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const line = `${JSON.stringify({ session: "1", agent: "Prüfer" })}\n`;

test.each([
  ["half a line is cut", line.slice(0, 20)],
  ["half a letter as well", Buffer.from(line).subarray(0, Buffer.from(line).indexOf(0xc3) + 1)],
  ["however long", `{"new":"${"x".repeat(200_000)}`],
  ["and nothing else", ""],
])("at the end of a recording %s", async (_, half) => {
  const out = join(folder, "trace.jsonl");
  writeFileSync(out, Buffer.concat([Buffer.from(line + line), Buffer.from(half)]));
  expect(await traceFile(out).finish()).toEqual({ calls: 2, runs: 1, agents: 1 });
  expect(readFileSync(out, "utf8")).toBe(line + line);
});

test("a recording of half a line is empty", async () => {
  const out = join(folder, "trace.jsonl");
  writeFileSync(out, line.slice(0, 20));
  expect(await traceFile(out).finish()).toEqual({ calls: 0, runs: 0, agents: 0 });
  expect(readFileSync(out, "utf8")).toBe("");
});

test("a recording that cannot be gzipped is kept as it is, and it says where", async () => {
  const out = join(folder, "trace.jsonl.gz");
  const file = traceFile(out);
  file.begin();
  writeFileSync(file.lines, line);
  // As on a full disk, the file cannot be written.
  mkdirSync(out);
  await expect(file.finish()).rejects.toMatchObject({
    code: "TRACE",
    hint: `What was recorded is in ${file.lines}, not gzipped.`,
  });
  expect(readFileSync(file.lines, "utf8")).toBe(line);
});
