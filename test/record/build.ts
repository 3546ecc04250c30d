import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with the package as built from these sources: node cannot preload sources everywhere. */
export function builtPackage() {
  const folder = mkdtempSync(join(tmpdir(), "cachesage-record-"));
  beforeAll(async () => {
    const compiler = join(root, "node_modules/typescript-7/bin/tsc");
    const built = await run([
      compiler,
      "-p",
      join(root, "tsconfig.build.json"),
      "--outDir",
      join(folder, "dist"),
    ]);
    if (built.code !== 0) throw new Error(built.stdout);
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
    writeFileSync(join(folder, "package.json"), readFileSync(join(root, "package.json")));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return {
    entry: pathToFileURL(join(folder, "dist/index.js")).href,
    file: (name: string) => join(folder, name),
    /** Runs the command line of cachesage. `onOutput` sees stdout grow, and may kill. */
    cachesage: (words: readonly string[], onOutput?: OnOutput, env?: NodeJS.ProcessEnv) =>
      run([join(folder, "dist/cli/main.js"), ...words], onOutput, env),
  };
}

export type OnOutput = (stdout: string, kill: (signal: NodeJS.Signals) => void) => void;

/** Runs node to its end. */
export async function run(
  words: readonly string[],
  onOutput: OnOutput = () => {},
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const child = spawn(process.execPath, words, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += String(chunk);
    onOutput(stdout, (signal) => child.kill(signal));
  });
  child.stderr.on("data", (chunk: Buffer) => (stderr += String(chunk)));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** Path of an app of this folder. */
export function app(name: string): string {
  return fileURLToPath(new URL(`apps/${name}.mjs`, import.meta.url));
}
