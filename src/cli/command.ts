import type { z } from "zod";

/** 0 done, 1 failed, 2 used wrongly, 3 a gate that the caller set was not met. */
export type ExitCode = 0 | 1 | 2 | 3;

export type InterruptSignal = "SIGINT" | "SIGTERM";

/** All that a command has to do with the outside. Texts are written as they are, line ends included. */
export interface CommandIo {
  /** Data, for pipes. */
  stdout(text: string): void;
  /** Progress and notes, for people. */
  stderr(text: string): void;
  /** Aborts on the first Ctrl-C; the command cleans up and returns, and the process exits with 130. */
  readonly signal: AbortSignal;
  /** From now on these signals are the command's to handle: nothing aborts, and its own exit code is the process's. */
  takeSignals?(listener: (signal: InterruptSignal) => void): void;
  /** Whether stderr is a terminal. */
  readonly isTTY: boolean;
  /** Width of stdout in characters where it is a terminal. */
  readonly columns?: number | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * A command as a file of this folder declares it, as its default export; the file is called like the command.
 * Whatever is slow to load belongs into `run`, since `--help` loads every file.
 */
export interface CommandDefinition<Schema extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly description: string;
  /** A command line that works as it stands. */
  readonly example: string;
  /** Strict object schema; flags, types, defaults and help come from it. */
  readonly options: Schema;
  /** Which of the options are given by position instead of by flag, in order; an array takes what is left. */
  readonly arguments?: readonly (keyof z.output<Schema> & string)[];
  /** The last argument is a command line of its own, with or without `--` before it: its words are taken as they are. */
  readonly takesCommandLine?: boolean;
  /** Resolves with an ExitCode, or with that of a program which the command ran. */
  run(options: z.output<Schema>, io: CommandIo): Promise<number>;
}

/** Types a command definition; returns it unchanged. */
export function defineCommand<Schema extends z.ZodObject>(
  definition: CommandDefinition<Schema>,
): CommandDefinition<Schema> {
  return definition;
}
