import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A server that runs for a test. */
export interface RunningServer extends RunningProgram {
  readonly url: string;
}

export interface ServerCommand {
  readonly program: string;
  readonly words: readonly string[];
  readonly url: string;
  /** Answers 200 when the server is ready. */
  readonly readyPath: string;
  readonly readyMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Path of a program on PATH. */
export function findProgram(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Says on the test's output why a real server is not tested, and returns the reason. */
export function skipped(server: string, reason: string): string {
  process.stderr.write(`skipped: ${server}: ${reason}\n`);
  return reason;
}

/** A program that runs, and that a test ends. */
export interface RunningProgram extends AsyncDisposable {
  /** All that it printed. */
  readonly log: () => string;
  readonly hasEnded: () => boolean;
  stop(): Promise<void>;
}

/** Starts a program. */
export function launch({
  program,
  words,
  env,
}: Pick<ServerCommand, "program" | "words" | "env">): RunningProgram {
  const child = spawn(program, words, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => void (log += String(chunk)));
  return {
    log: () => log,
    hasEnded: () => child.exitCode !== null,
    stop: () => stop(child),
    [Symbol.asyncDispose]: () => stop(child),
  };
}

/** Starts a server and waits until it is ready. Throws with its log when it ends or is too slow. */
export async function startServer(command: ServerCommand): Promise<RunningServer> {
  const { url, readyPath, readyMs = 60_000 } = command;
  const running = launch(command);
  const deadline = performance.now() + readyMs;
  while (performance.now() < deadline && !running.hasEnded()) {
    // A server that is not up yet may take a question and never answer it.
    const isReady = await fetch(`${url}${readyPath}`, { signal: AbortSignal.timeout(5000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { ...running, url };
    await delay(50);
  }
  await running.stop();
  throw new Error(`${command.program} did not get ready:\n${running.log().slice(-4000)}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await exited;
  clearTimeout(timer);
}
