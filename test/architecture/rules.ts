import type { Import, SourceFile } from "./source-file.ts";

/** Says what is wrong, one complaint per entry: the file, the fault and the remedy. */
export type Rule = (files: readonly SourceFile[]) => readonly string[];

const everything = "everything";

/** Which parts of `src` each part may import; `errors.ts` is open to all, a part always to itself. */
const allowed: Readonly<Record<string, readonly string[] | typeof everything>> = {
  nearest: [],
  errors: ["nearest"],
  options: ["nearest"],
  registry: [],
  "fitted-table": [],
  "engine-registry": ["registry", "runtime", "options", "wire"],
  runtime: [],
  learn: ["runtime"],
  audit: ["runtime"],
  policies: ["runtime", "learn", "audit"],
  wire: ["runtime"],
  embedded: ["runtime", "wire", "options", "nearest"],
  engines: ["runtime", "wire"],
  stores: ["runtime", "options"],
  shadow: ["runtime"],
  telemetry: ["runtime", "options", "shadow"],
  langgraph: ["runtime"],
  record: ["runtime", "langgraph"],
  sim: ["runtime", "learn", "policies", "registry", "fitted-table"],
  doctor: ["runtime", "wire"],
  dashboard: ["runtime", "options", "shadow"],
  testing: ["runtime", "learn"],
  arms: ["cachesage", "stats", "embedded", "fitted-table"],
  demo: everything,
  playback: ["runtime", "learn", "policies", "sim", "dashboard", "options"],
  bench: ["arms", "sim", "embedded", "fitted-table"],
  contained: [],
  "policy-states": ["policy-set"],
  "shared-state": ["runtime", "learn", "policy-states"],
  observers: ["runtime"],
  "event-turn": ["runtime"],
  stats: ["runtime", "learn", "shared-state"],
  "policy-set": ["runtime", "wire", "options", "registry"],
  connection: ["connect-options", "engine-registry", "options", "policy-set", "runtime"],
  "connect-options": ["runtime", "policy-set", "observers", "shared-state"],
  cachesage: everything,
  index: everything,
  cli: everything,
};
const pureParts: readonly string[] = ["runtime", "learn"];
/** The demo and the bench are applications, and arms/ is what they share: they use the framework as any user does. */
const frameworkParts: readonly string[] = ["langgraph", "arms", "demo", "bench"];
const impureGlobals: readonly string[] = [
  "Date",
  "Math.random",
  "performance",
  "crypto",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "process",
  "console",
  "fetch",
];

export const importDirections: Rule = (files) =>
  ownImports(files).flatMap(({ file, target }) => {
    const [from, to] = [partOf(file.path), partOf(target)];
    const may = allowed[from];
    if (may === undefined)
      return `${file.path}: the folder ${from}/ has no place in the layout. Name it in test/architecture/rules.ts.`;
    if (from === to || to === "errors" || may === everything || may.includes(to)) return [];
    if (file.path === "engines/embedded.ts" && to === "embedded") return [];
    return `${file.path} imports ${target}, but ${from} may only import ${[from, ...may, "errors"].join(", ")}. Turn the dependency round, or let cachesage.ts hand the part in.`;
  });

export const lonePolicies: Rule = (files) =>
  ownImports(files)
    .filter(({ file, target }) => partOf(file.path) === "policies" && partOf(target) === "policies")
    .map(({ file, target }) => `${file.path} imports ${target}. Move what both need to learn/ or runtime/.`);

export const pureImports: Rule = (files) =>
  files
    .filter(isPure)
    .flatMap(({ path, imports }) =>
      imports
        .filter(
          ({ isOwn, kind, target }) => !isOwn && target !== "zod" && (kind !== "type" || isNode(target)),
        )
        .map(({ target }) => `${path} imports ${target}. Pure code takes it as an argument instead.`),
    );

export const pureGlobals: Rule = (files) =>
  files
    .filter(isPure)
    .flatMap(({ path, globals }) =>
      impureGlobals
        .filter((name) => globals.has(name))
        .map((name) => `${path} uses ${name}. Pure code takes time, chance and output as arguments.`),
    );

export const frameworkImports: Rule = (files) =>
  files
    .filter(({ path }) => !frameworkParts.includes(partOf(path)))
    .flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target.startsWith("@langchain/") || /^langchain(\/|$)/.test(target))
        .map(({ target }) => `${path} imports ${target}. Only langgraph/ may; export what is needed there.`),
    );

/** Cycles of imports that run; and, on their own, cycles that only types close. */
export const cycles: Rule = (files) => {
  const running = findCycles(files, ({ kind }) => kind !== "type");
  const known = new Set(running.map(setOf));
  const ofTypes = findCycles(files, () => true).filter((cycle) => !known.has(setOf(cycle)));
  const remedy = "Move what they share to a file of its own.";
  return [
    ...running.map((cycle) => `${cycle.join(" -> ")} is an import cycle. ${remedy}`),
    ...ofTypes.map((cycle) => `${cycle.join(" -> ")} is an import cycle of types. ${remedy}`),
  ];
};

export const fileLength: Rule = (files) =>
  files
    .filter(({ lines }) => lines > 400)
    .map(({ path, lines }) => `${path} has ${lines} lines, more than 400. Split it by reason to exist.`);

export const medianLength: Rule = (files) => {
  const sorted = files.map(({ lines }) => lines).toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return median > 100
    ? [`src has a median of ${median} lines a file, more than 100. Split the longest.`]
    : [];
};

function ownImports(files: readonly SourceFile[]) {
  return files.flatMap((file) =>
    file.imports.filter(({ isOwn }) => isOwn).map(({ target }) => ({ file, target })),
  );
}

/** The folder below `src`, or a top file's name: `runtime/event.ts` is of `runtime`, `errors.ts` of `errors`. */
function partOf(path: string): string {
  return path.split("/")[0]?.replace(/\.ts$/, "") ?? path;
}

function isPure({ path }: SourceFile): boolean {
  return pureParts.includes(partOf(path));
}

function isNode(specifier: string): boolean {
  return specifier.startsWith("node:");
}

function setOf(cycle: readonly string[]): string {
  return [...new Set(cycle)].toSorted().join(" ");
}

/** Depth-first; each cycle is told once, from the file where it was entered. */
function findCycles(files: readonly SourceFile[], follow: (found: Import) => boolean): readonly string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const found: string[][] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path]);
    if (start >= 0 || done.has(path)) return;
    for (const next of byPath.get(path)?.imports ?? [])
      if (next.isOwn && follow(next)) visit(next.target, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return found;
}
