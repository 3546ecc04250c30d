import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const compilers = ["typescript-7", "typescript"];
const notPublished = ["node_modules", "dist", "test", "examples", ".git"].map((entry) => join(root, entry));

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
}

interface Tarball {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** A user's project in a temporary folder, with the packed package and its required peers only. */
let folder: string;
let project: string;
let manifest: Manifest;
let packed: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cachesage-package-"));
  project = join(folder, "project");
  const source = join(folder, "source");
  await cp(root, source, { recursive: true, filter: (path) => !notPublished.includes(path) });
  await symlink(join(root, "node_modules"), join(source, "node_modules"), "junction");
  await run(process.execPath, [compilerOf("typescript-7"), "-p", "tsconfig.build.json"], { cwd: source });
  const { stdout } = await npm(["pack", "--ignore-scripts", "--json", "--pack-destination", folder], source);
  const [{ filename, files }] = JSON.parse(stdout) as [Tarball];
  packed = files.map(({ path }) => path);

  await mkdir(project);
  await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  await npm(["install", "--prefer-offline", "--ignore-scripts", join(folder, filename)], project);
  manifest = JSON.parse(await readFile(join(installed(), "package.json"), "utf8")) as Manifest;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the packed package", () => {
  it("installs without any of its optional peers", async () => {
    // What a dependency brings along is there for its own sake: prom-client has the API of OpenTelemetry.
    const brought = await Promise.all(
      Object.keys(manifest.dependencies).map(async (name) => {
        const of = JSON.parse(await readFile(join(project, "node_modules", name, "package.json"), "utf8"));
        return Object.keys((of as { dependencies?: object }).dependencies ?? {});
      }),
    );
    const peers = Object.keys(manifest.peerDependenciesMeta).filter((peer) => !brought.flat().includes(peer));
    const present = await Promise.all(peers.map((peer) => isThere(join(project, "node_modules", peer))));
    expect(present.length).toBeGreaterThan(4);
    expect(present).not.toContain(true);
  });

  it("holds what was built, and neither sources nor tests", () => {
    const expected =
      /^(dist\/.+\.(js|d\.ts)|dist\/dashboard\/page\/.+\.(html|css|svg)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
    expect(packed.filter((path) => !expected.test(path))).toEqual([]);
    expect(packed).toContain("dist/index.js");
  });

  it("loads every export by import", async () => {
    const loaded = await load("await import(entry, options(entry))");
    expect(loaded.filter(([, names]) => names.length === 0)).toEqual([]);
    expect(new Map(loaded).get("cachesage")).toContain("CacheSage");
  });

  it.runIf(canRequireModules())("loads every export by require", async () => {
    const loaded = await load("require(entry)");
    expect(loaded.filter(([, names]) => names.length === 0)).toEqual([]);
  });

  it("offers policies and engines as default exports that are called like their file, all there are", async () => {
    const wanted = (await specifiers()).filter((entry) => /\/(policies|engines)\//.test(entry));
    const written = await Promise.all(
      ["engines", "policies"].map(async (kind) =>
        (await readdir(join(root, "src", kind))).map((file) => `cachesage/${kind}/${file.slice(0, -3)}`),
      ),
    );
    expect(wanted.toSorted()).toEqual(written.flat().toSorted());
    const names = await inProject(
      `console.log(JSON.stringify(await Promise.all(${JSON.stringify(wanted)}.map(async (entry) => (await import(entry)).default.name))));`,
    );
    expect(JSON.parse(names)).toEqual(wanted.map((entry) => entry.split("/").at(-1)));
  });

  it.each(compilers)("has types that %s understands", async (compiler) => {
    await writeFile(
      join(project, "use.ts"),
      `import { CacheSage, definePolicy, type CacheSageOptions } from "cachesage";
       import prefixCache from "cachesage/policies/prefix-cache";
       const options: CacheSageOptions = { cacheHints: true };
       export const sage: Promise<CacheSage> = CacheSage.connect("http://localhost/v1", options);
       export const name: string = definePolicy(prefixCache).name;
       // @ts-expect-error a flag is no text: proof that these types are read at all
       CacheSage.connect({ cacheHints: "yes" });`,
    );
    await expect(compile(compiler, "use.ts")).resolves.toMatchObject({ stdout: "" });
  });

  it.each(compilers)("has types for every export, by %s", async (compiler) => {
    const modules = (await specifiers()).filter((entry) => !entry.endsWith(".json"));
    const lines = modules.map((entry, index) => `export * as m${index} from ${JSON.stringify(entry)};`);
    await writeFile(join(project, "all.ts"), lines.join("\n"));
    await expect(compile(compiler, "all.ts")).resolves.toMatchObject({ stdout: "" });
  });
});

describe("the cachesage command", () => {
  it("prints its version", async () => {
    expect((await run(bin(), ["--version"], { cwd: project })).stdout).toBe(`${manifest.version}\n`);
  });

  it("lists its commands without any optional peer", async () => {
    expect((await run(bin(), ["--help"], { cwd: project })).stdout).toContain("serve");
  });

  it("says how to install the peer that serving needs", async () => {
    await expect(run(bin(), ["serve"], { cwd: project })).rejects.toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining(
        `npm install node-llama-cpp@${manifest.peerDependencies["node-llama-cpp"]}\n`,
      ),
    });
  });

  it("serves until Ctrl-C, then exits with 130", async () => {
    const peer = join(project, "node_modules/node-llama-cpp");
    await symlink(join(root, "node_modules/node-llama-cpp"), peer, "junction");
    const server = spawn(process.execPath, [join(installed(), "dist/cli/main.js"), "serve"], {
      cwd: project,
    });
    const exited = once(server, "exit");
    try {
      const [line] = (await once(createInterface(server.stdout), "line")) as [string];
      const { url, baseURL, model } = JSON.parse(line) as Record<string, string>;
      const models = await fetch(`${baseURL}/models`);
      expect(baseURL).toBe(`${url}/v1`);
      expect(await models.json()).toMatchObject({ data: [{ id: model }] });
      server.kill("SIGINT");
      expect(await exited).toEqual([130, null]);
    } finally {
      server.kill("SIGKILL");
    }
  });
});

function installed(): string {
  return join(project, "node_modules/cachesage");
}

function compilerOf(name: string): string {
  return join(root, "node_modules", name, "bin/tsc");
}

function compile(compiler: string, file: string) {
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", file];
  return run(process.execPath, [compilerOf(compiler), ...flags], { cwd: project });
}

function bin(): string {
  return join(project, "node_modules/.bin/cachesage");
}

function npm(words: readonly string[], cwd: string) {
  return run("npm", [...words, "--no-audit", "--no-fund"], { cwd });
}

async function isThere(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    () => false,
  );
}

function canRequireModules(): boolean {
  return (process.features as { readonly require_module?: boolean }).require_module === true;
}

/** Every specifier a user can write, wildcards spelled out from the files that are there. */
async function specifiers(): Promise<readonly string[]> {
  const found = await Promise.all(
    Object.entries(manifest.exports).map(async ([entry, target]) => {
      const path = typeof target === "string" ? target : target.default;
      if (!entry.includes("*")) return [entry];
      const [before = "", after = ""] = path.split("*");
      const files = await readdir(join(installed(), before));
      return files
        .filter((file) => file.endsWith(after))
        .map((file) => entry.replace("*", file.slice(0, -after.length)));
    }),
  );
  return found.flat().map((entry) => entry.replace(/^\./, "cachesage"));
}

/** Loads every specifier in a process of its own; gives the names that each one exports. */
async function load(expression: string): Promise<readonly (readonly [string, readonly string[]])[]> {
  const script = `
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);
    const options = (entry) => (entry.endsWith(".json") ? { with: { type: "json" } } : {});
    const loaded = [];
    for (const entry of ${JSON.stringify(await specifiers())})
      loaded.push([entry, Object.keys(${expression})]);
    console.log(JSON.stringify(loaded));`;
  return JSON.parse(await inProject(script)) as [string, string[]][];
}

async function inProject(script: string): Promise<string> {
  const flags = ["--no-warnings", "--input-type=module", "--eval", script];
  return (await run(process.execPath, flags, { cwd: project })).stdout;
}
