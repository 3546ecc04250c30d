#!/usr/bin/env node
import type { InterruptSignal } from "./command.ts";
import { runProgram } from "./program.ts";

const interrupt = new AbortController();
let interruptedWith: number | undefined;
let takeSignal: ((signal: InterruptSignal) => void) | undefined;

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.on(signal, () => {
    if (takeSignal) return takeSignal(signal);
    if (interruptedWith !== undefined) process.exit(code);
    interruptedWith = code;
    interrupt.abort();
  });

// The reader of a pipe, such as `head`, may leave first; that is no failure. A full disk is one.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  const isLeft = error.code === "EPIPE";
  if (!isLeft && interruptedWith === undefined)
    process.stderr.write(`error: the output cannot be written: ${error.message}\n`);
  interruptedWith ??= isLeft ? 0 : 1;
  interrupt.abort();
});

const exitCode = await runProgram(process.argv.slice(2), {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  signal: interrupt.signal,
  takeSignals: (listener) => (takeSignal = listener),
  isTTY: process.stderr.isTTY,
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  env: process.env,
});
// Pipes are written in the background on some systems: leave when the last byte is out, and what went wrong with it was heard.
process.stdout.write("", () => setImmediate(() => process.exit(interruptedWith ?? exitCode)));
