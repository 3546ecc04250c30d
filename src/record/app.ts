import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { extname } from "node:path";
import { isatty } from "node:tty";
import { InvalidOptionsError } from "../errors.ts";
import { RECORD_VARIABLE, type RecordSettings } from "./settings.ts";

/** How an app is run. */
export interface AppRun {
  readonly settings: RecordSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called when the app has been started, before it can have done anything. */
  readonly onStart: () => void;
  /** Keeps this process's stdout free: what the app writes to its own goes to stderr. */
  readonly isStdoutOurs?: boolean;
  /** Hands over the signals that this process gets. */
  readonly takeSignals?: ((listener: (signal: NodeJS.Signals) => void) => void) | undefined;
}

/** Sources and built files have the same names, but for the extension. */
const preload = new URL(`./preload${extname(import.meta.url)}`, import.meta.url);

/**
 * Runs a command line with the recorder inside, on this process's own stdin, stdout and stderr. Resolves with its exit code;
 * like a shell's, that is 128 more than the signal's number when a signal ended it.
 *
 * @throws InvalidOptionsError when it cannot be started.
 */
export async function runApp(words: readonly string[], run: AppRun): Promise<number> {
  const { settings, env, onStart, isStdoutOurs = false, takeSignals } = run;
  const [command = "", ...rest] = words;
  const app = spawn(command, rest, {
    stdio: ["inherit", isStdoutOurs ? 2 : "inherit", "inherit"],
    env: {
      ...env,
      NODE_OPTIONS: [env["NODE_OPTIONS"], `--import=${preload.href}`].filter(Boolean).join(" "),
      [RECORD_VARIABLE]: JSON.stringify(settings),
    },
  });
  if (app.pid !== undefined) onStart();
  // A terminal sends Ctrl-C to all processes in its foreground, so the app has it already.
  const isSentByTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
  takeSignals?.((signal) => {
    if (signal !== "SIGINT" || !isSentByTerminal) app.kill(signal);
  });
  try {
    const [code, signal] = (await once(app, "exit")) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + (signal ? constants.signals[signal] : 0);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    const problem = isMissing ? "no such command" : `cannot be started (${String(cause)})`;
    throw new InvalidOptionsError("record", `<command>: ${problem}, got ${JSON.stringify(command)}`, {
      hint: "Write it as you would without cachesage, such as: node app.mjs",
      cause,
    });
  }
}
