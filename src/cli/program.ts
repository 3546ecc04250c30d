import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { CacheSageError } from "../errors.ts";
import { registry } from "../registry.ts";
import type { CommandDefinition, CommandIo, ExitCode } from "./command.ts";
import { addOptions, readOptions } from "./options.ts";

const ownFolder = new URL("./", import.meta.url);

/**
 * Runs one command line, without the program's name, and tells how it went. Never rejects.
 *
 * @param folder URL of the folder whose files are the commands, ending in a slash.
 */
export async function runProgram(
  words: readonly string[],
  io: CommandIo,
  folder: URL = ownFolder,
): Promise<number> {
  try {
    return await dispatch(words, io, folder);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return report(error, io);
  }
}

async function dispatch(words: readonly string[], io: CommandIo, folder: URL): Promise<number> {
  let exitCode = 0;
  const program = createProgram(await load(words, folder), io, async (definition, given) => {
    exitCode = await definition.run(given, io);
  });
  await program.parseAsync(words, { from: "user" });
  return exitCode;
}

/**
 * The command line as commander has it.
 *
 * @param run what is done with a command line once it is read and checked.
 */
export function createProgram(
  definitions: readonly CommandDefinition[],
  io: Pick<CommandIo, "stdout" | "stderr">,
  run: (definition: CommandDefinition, given: Readonly<Record<string, unknown>>) => Promise<void>,
): Command {
  const program = configure(new Command("cachesage"), io)
    .description("Agent runtime layer for LangGraph.js: tells serving engines which KV prefixes to keep.")
    .version(version(), "-v, --version")
    .enablePositionalOptions();
  for (const definition of definitions) {
    const command = configure(program.command(definition.name), io)
      .summary(definition.summary)
      .description(definition.description)
      .addHelpText("after", `\nExample:\n  $ ${definition.example}`)
      .showHelpAfterError(`See: cachesage ${definition.name} --help`)
      .passThroughOptions(definition.takesCommandLine ?? false);
    addOptions(command, definition);
    command.action(() => run(definition, readOptions(command, definition)));
  }
  const examples = definitions.map(({ example }) => `  $ ${example}\n`).join("");
  return program.addHelpText("after", `\nExamples:\n${examples}`).showHelpAfterError("See: cachesage --help");
}

/** The one command that is asked for, so that no other has to load; all of them when help must list them. */
async function load(words: readonly string[], folder: URL): Promise<readonly CommandDefinition[]> {
  const commands = registry<CommandDefinition | undefined>("command", folder);
  const names = (await commands.names()).filter((name) => name !== "main");
  const asked = names.find((name) => name === words.find((word) => !word.startsWith("-")));
  const one = asked === undefined ? undefined : await commands.load(asked);
  if (one !== undefined) return [one];
  const all = await Promise.all(names.map((name) => commands.load(name)));
  return all.filter((definition) => definition !== undefined);
}

function configure(command: Command, io: Pick<CommandIo, "stdout" | "stderr">): Command {
  return command
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout(text), writeErr: (text) => io.stderr(text) });
}

function report(error: unknown, io: CommandIo): ExitCode {
  if (io.env["DEBUG"]) io.stderr(`${inspect(error)}\n`);
  else if (!io.signal.aborted)
    io.stderr(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  if (!CacheSageError.isInstance(error)) return 1;
  return error.code === "INVALID_OPTIONS" || error.code === "UNKNOWN_NAME" ? 2 : 1;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { readonly version: string }).version;
}
