import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  cycles,
  fileLength,
  frameworkImports,
  importDirections,
  lonePolicies,
  medianLength,
  pureGlobals,
  pureImports,
  type Rule,
} from "./architecture/rules.ts";
import { parseSource, readSources } from "./architecture/source-file.ts";

const root = new URL("../", import.meta.url);
const sources = readSources(new URL("src/", root));
const buildOutputs = ["node_modules", "dist", "coverage", "docs"];

interface Checked {
  readonly rule: Rule;
  readonly states: string;
  /** Small trees that break the rule: if it lets one pass, it has stopped looking. */
  readonly broken: readonly Readonly<Record<string, string>>[];
}

const checked: readonly Checked[] = [
  {
    rule: importDirections,
    states: "imports only in the allowed directions",
    broken: [
      { "runtime/loop.ts": 'import { guess } from "../learn/predictor.ts";' },
      { "runtime/loop.ts": 'import type { Guess } from "../learn/predictor.ts";' },
      { "learn/predictor.ts": 'export * from "../policies/prefix-cache.ts";' },
      { "policies/prefix-cache.ts": 'const engine = import("../engines/vllm.ts");' },
      { "engines/vllm.ts": 'import { start } from "../embedded/index.ts";' },
      { "langgraph/handler.ts": 'type Predictor = import("../learn/predictor.ts").Predictor;' },
      { "misc/thing.ts": 'import { END } from "../runtime/event.ts";' },
    ],
  },
  {
    rule: lonePolicies,
    states: "keeps policies apart from each other",
    broken: [{ "policies/one.ts": 'import other from "./other.ts";' }],
  },
  {
    rule: pureImports,
    states: "loads nothing but zod into runtime/ and learn/",
    broken: [
      { "runtime/loop.ts": 'import { setTimeout } from "node:timers/promises";' },
      { "runtime/loop.ts": 'import type { Socket } from "node:net";' },
      { "learn/counts.ts": 'import { mean } from "simple-statistics";' },
    ],
  },
  {
    rule: pureGlobals,
    states: "keeps time, chance and output out of runtime/ and learn/",
    broken: [
      { "runtime/loop.ts": "const at = Date.now();" },
      { "runtime/loop.ts": "const at = new Date();" },
      { "learn/counts.ts": "const dice = Math.random();" },
      { "learn/counts.ts": "console.log(1);" },
      { "learn/counts.ts": "setTimeout(() => {}, 1);" },
      { "learn/counts.ts": "const all = { process };" },
    ],
  },
  {
    rule: frameworkImports,
    states: "imports LangChain in langgraph/ only",
    broken: [
      { "engines/vllm.ts": 'import type { BaseMessage } from "@langchain/core/messages";' },
      { "cachesage.ts": 'const agents = await import("langchain");' },
    ],
  },
  {
    rule: cycles,
    states: "has no import cycle, not even of types",
    broken: [
      { "learn/a.ts": 'import { b } from "./b.ts";', "learn/b.ts": 'import { a } from "./a.ts";' },
      { "learn/a.ts": 'import type { B } from "./b.ts";', "learn/b.ts": 'import { a } from "./a.ts";' },
    ],
  },
  {
    rule: fileLength,
    states: "has no file of more than 400 lines",
    broken: [{ "learn/long.ts": "\n".repeat(401) }],
  },
  {
    rule: medianLength,
    states: "has a median of at most 100 lines a file",
    broken: [{ "learn/long.ts": "\n".repeat(101) }],
  },
];

describe("the layout of src", () => {
  for (const { rule, states, broken } of checked) {
    it(`src ${states}`, () => {
      expect(rule(sources)).toEqual([]);
    });

    it.each(broken)(`src ${states}, and %j is caught`, (tree) => {
      const files = Object.entries(tree).map(([path, text]) => parseSource(path, text));
      expect(rule(files)).toHaveLength(1);
    });
  }

  it("leaves lawful code alone", () => {
    const tree = {
      "learn/counts.ts":
        'import { z } from "zod";\nimport { END } from "../runtime/event.ts";\nimport { EngineError } from "../errors.ts";\nexport const row = { Date: 1, at: (clock: { now(): number }) => clock.now() };',
      "engines/embedded.ts": 'const load = () => import("../embedded/index.ts");',
      "langgraph/handler.ts": 'import { BaseCallbackHandler } from "@langchain/core/callbacks/base";',
      "cli/serve.ts": 'import { start } from "../embedded/index.ts";\nsetTimeout(() => {}, 1);',
    };
    const files = Object.entries(tree).map(([path, text]) => parseSource(path, text));
    expect(checked.flatMap(({ rule }) => rule(files))).toEqual([]);
  });
});

describe("the checkout", () => {
  const files = readdirSync(root, { withFileTypes: true })
    .filter(({ name }) => !buildOutputs.includes(name) && !name.endsWith(".tgz"))
    .flatMap((entry) => {
      if (entry.name === ".git") return [];
      if (entry.isFile()) return entry.name;
      const inside = readdirSync(new URL(`${entry.name}/`, root), { recursive: true, withFileTypes: true });
      const top = fileURLToPath(root).length;
      return inside
        .filter((below) => below.isFile())
        .map((below) => `${below.parentPath.slice(top)}/${below.name}`.replaceAll("\\", "/"));
    });

  it("keeps its top level to the agreed entries", () => {
    const agreed =
      /^(package(-lock)?\.json|tsconfig(\.\w+)?\.json|src|examples|test|README\.md|CHANGELOG\.md|LICENSE|\..+)$/;
    const strays = files.map((file) => file.split("/")[0] ?? file).filter((entry) => !agreed.test(entry));
    // Move these below src, test or examples.
    expect(strays).toEqual([]);
  });

  it("has no folder that says nothing about what it holds", () => {
    const vague = files.filter((file) => /(^|\/)(utils?|helpers?|common|misc|lib)\//.test(file));
    // Name the folder after what its files are for.
    expect(vague).toEqual([]);
  });

  it("names no path of one machine and no registry host", () => {
    const forbidden =
      /(^|[\s"'`(=:])(\/wor[k]\/|\/roo[t]\/|\/hom[e]\/|\/User[s]\/|[A-Z]:\\User[s])|registry[.]np[m]|registry[.]yar[n]|py[p]i[.]org|deb[.]debi[a]n/;
    const found = files
      .filter((file) => /\.(ts|mts|mjs|js|json|md|html|css|svg|yml|yaml)$|(^|\/)[^.]+$/.test(file))
      .flatMap((file) =>
        readFileSync(new URL(file, root), "utf8")
          .split("\n")
          .flatMap((line, index) => (forbidden.test(line) ? `${file}:${index + 1}` : [])),
      );
    // Write a relative path, or leave the host out.
    expect(found).toEqual([]);
  });
});
