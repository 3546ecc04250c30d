import { appendFileSync, closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { InvalidOptionsError, messageOf } from "../errors.ts";
import type { PolicyLog } from "../runtime/policy.ts";

/**
 * A text file that lines are added to once per turn of the event loop, so that no call waits for a disk; what is left when
 * the process exits is written then. A file that is gone or empty was rotated: lines go on in a new one. It has one writer: who
 * finds that the file has become another one since writes no more, so that what the other one has written stays in order.
 *
 * @throws InvalidOptionsError when the file cannot be written.
 */
export function openAppendLog(file: string): PolicyLog {
  const last = lastLine(file);
  let { size } = statSync(file);
  let waiting: string[] = [];
  let failure: unknown;
  const flush = () => {
    if (waiting.length === 0) return;
    const text = `${waiting.join("\n")}\n`;
    waiting = [];
    try {
      const found = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      if (found !== size && found > 0)
        throw new Error(
          "another process writes to it, or has cut it off: give each process a file of its own",
        );
      appendFileSync(file, text);
      size = found + Buffer.byteLength(text);
    } catch (error) {
      failure = error;
    }
  };
  const onExit = () => flush();
  process.once("exit", onExit);
  return {
    last,
    now: () => Date.now(),
    append(line) {
      if (failure !== undefined)
        throw new InvalidOptionsError("log", `${file} can no longer be written: ${messageOf(failure)}`, {
          cause: failure,
        });
      if (waiting.length === 0) setImmediate(flush);
      waiting.push(line);
    },
    close() {
      flush();
      process.off("exit", onExit);
    },
  };
}

/** The last whole line; a line that a crash cut short is ended, so that the next one stands by itself. */
function lastLine(file: string): string | undefined {
  try {
    const descriptor = openSync(file, "a");
    const text = readFileSync(file, "utf8");
    if (text !== "" && !text.endsWith("\n")) writeSync(descriptor, "\n");
    closeSync(descriptor);
    return text.split("\n").findLast((line) => line !== "");
  } catch (error) {
    throw new InvalidOptionsError("log", `the file cannot be opened, got ${JSON.stringify(file)}`, {
      hint: "Name a file in a folder that exists and that this process may write to.",
      cause: error,
    });
  }
}
