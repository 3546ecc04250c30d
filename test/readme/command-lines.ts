import { existsSync, readFileSync } from "node:fs";
import { CommanderError } from "commander";
import type { CommandDefinition } from "../../src/cli/command.ts";
import { createProgram } from "../../src/cli/program.ts";
import { registry } from "../../src/registry.ts";
import { root } from "./markdown.ts";

const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
  readonly name: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

/** The commands that a piece of shell consists of, without comments, each split into words. */
export function commandLines(shell: string): readonly (readonly string[])[] {
  return shell
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .flatMap((line) => line.split("&&"))
    .map((line) => wordsOf(line))
    .filter((words) => words.length > 0);
}

function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((found) => found.slice(1).find(Boolean) ?? "");
}

/**
 * Checks a command line without carrying it out. Rejects with what is wrong with it, or because nothing here can tell.
 *
 * @param isWhole false for one that may leave out what is needed to run it.
 */
export async function checkCommandLine(words: readonly string[], isWhole = true): Promise<void> {
  const [program, first = "", ...rest] = words;
  if (program === "npx" && first === "cachesage") return checkCachesage(rest, isWhole);
  if (program === "cachesage") return checkCachesage([first, ...rest], isWhole);
  if (program === "node" && existsSync(new URL(first, root))) return undefined;
  if (program === "npm" && first === "ci" && rest.length === 0) return undefined;
  if (program === "npm" && first === "pack" && rest.length === 0) return undefined;
  if (program === "npm" && first === "test") return checkScript("test", []);
  if (program === "npm" && first === "run") return checkScript(rest[0] ?? "", rest.slice(2), isWhole);
  if (program === "npm" && first === "install" && rest.every(isDependency)) return undefined;
  throw new Error(`nothing tells whether this works: ${words.join(" ")}`);
}

/** This package, a peer of it, or what it is developed with in just that version. */
function isDependency(specifier: string): boolean {
  if (specifier === manifest.name || specifier in manifest.peerDependencies) return true;
  const at = specifier.lastIndexOf("@");
  return manifest.devDependencies[specifier.slice(0, at)] === specifier.slice(at + 1);
}

/** A script that ends with a command of cachesage takes the options of that command. */
async function checkScript(name: string, more: readonly string[], isWhole = true): Promise<void> {
  const script = manifest.scripts[name];
  if (script === undefined) throw new Error(`package.json has no script ${name}`);
  const [, command] = /dist\/cli\/main\.js (\w+)$/.exec(script) ?? [];
  if (command !== undefined) await checkCachesage([command, ...more], isWhole);
}

async function checkCachesage(words: readonly string[], isWhole: boolean): Promise<void> {
  const commands = registry<CommandDefinition | undefined>("command", new URL("src/cli/", root));
  const names = (await commands.names()).filter((name) => name !== "main");
  const definitions = (await Promise.all(names.map((name) => commands.load(name)))).filter(
    (definition) => definition !== undefined,
  );
  let said = "";
  const io = { stdout: () => {}, stderr: (text: string) => void (said += text) };
  try {
    await createProgram(definitions, io, async () => {}).parseAsync(words, { from: "user" });
  } catch (error) {
    const isMissing =
      error instanceof CommanderError
        ? error.code === "commander.missingArgument"
        : String(error).includes("not specified");
    if (!isWhole && isMissing) return;
    throw new Error(`cachesage ${words.join(" ")}: ${said || String(error)}`, { cause: error });
  }
}
