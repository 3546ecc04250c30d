import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { hintEnvelope } from "../../src/embedded/hints/envelope.ts";
import { builtPackage, run } from "../record/build.ts";
import { checkCommandLine, commandLines } from "./command-lines.ts";
import { type Block, readPage, root } from "./markdown.ts";

const { blocks, spans } = readPage("README.md");
const of = (language: string) => blocks.filter((block) => block.language === language);
const isRun = ({ words }: Block) => words[0] === "run";
/** Where a block stands in the package: as it says itself, or in a folder of its own. */
const place = ({ words, line }: Block) => words[1] ?? `readme/line-${line}.ts`;
/** A call of a recorded run, whose prompt is two blocks. */
const call = (agent: string, first: number) => ({
  session: "1",
  agent,
  prompt_tokens: 32,
  output_tokens: 8,
  sys_tokens: 16,
  ref: -1,
  keep: 0,
  new: [[first, 2]],
});
const title = ({ line }: Block) => `README.md:${line}`;

it("has blocks of these languages alone, so that none goes unchecked", () => {
  expect([...new Set(blocks.map(({ language }) => language))].toSorted()).toEqual(["json", "sh", "ts"]);
});

describe("TypeScript", () => {
  const built = builtPackage();
  const codes = of("ts");

  beforeAll(async () => {
    cpSync(fileURLToPath(new URL("src/", root)), built.file("src"), { recursive: true });
    for (const block of codes) {
      const file = built.file(place(block));
      mkdirSync(dirname(file), { recursive: true });
      // As many lines down as in the README, so that what the compiler says can be found there.
      writeFileSync(file, "\n".repeat(block.line - 1) + block.text);
    }
  });

  it("has the types that the package has", async () => {
    const config = {
      extends: fileURLToPath(new URL("tsconfig.json", root)),
      compilerOptions: {
        noEmit: false,
        outDir: "out",
        rootDir: ".",
        paths: {},
        moduleDetection: "force",
        noUnusedLocals: false,
      },
      include: [],
      files: [...codes.map(place), fileURLToPath(new URL("given.d.ts", import.meta.url))],
    };
    writeFileSync(built.file("tsconfig.json"), JSON.stringify(config));
    const compiler = fileURLToPath(new URL("node_modules/typescript-7/bin/tsc", root));
    const { code, stdout } = await run([compiler, "-p", built.file("tsconfig.json")]);
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });

  const script = (block: Block) => built.file(join("out", place(block).replace(/\.ts$/, ".js")));

  it.each(
    codes
      .filter(isRun)
      .filter(({ words }) => words.length === 1)
      .map((block) => [title(block), block]),
  )("runs: %s", async (_, block) => {
    const { code, stderr } = await run([script(block as Block)]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  it("knows the baseline as a baseline", async () => {
    const [baseline] = codes.filter(({ words }) => words[1]?.startsWith("src/sim/baselines/"));
    if (!baseline) throw new Error("the README shows no baseline");
    cpSync(script(baseline), built.file("dist/sim/baselines/fifo.js"));
    // First in, first out, in two blocks: ab cd ab hits nothing.
    const records = [call("a", 0), call("b", 2), call("a", 0)];
    writeFileSync(built.file("trace.jsonl"), records.map((record) => JSON.stringify(record)).join("\n"));
    const words = ["--policy", "fifo", "--capacity", "2", "--concurrency", "1", "--seed", "1", "--json"];
    const { stdout } = await built.cachesage(["simulate", built.file("trace.jsonl"), ...words]);
    expect(JSON.parse(stdout)).toMatchObject({
      rows: [{ policy: "fifo", hit_rate: 0 }, {}, {}, {}],
    });
  });

  it("runs most of them", () => {
    expect(codes.filter(isRun).length).toBeGreaterThan(codes.length / 2);
  });
});

describe("shell", () => {
  it.each(of("sh").map((block) => [title(block), block.text]))(
    "knows each command and option: %s",
    async (_, text) => {
      const lines = commandLines(text as string);
      expect(lines.length).toBeGreaterThan(0);
      for (const words of lines) await checkCommandLine(words);
    },
  );

  const mentioned = spans.filter((span) => /^(npx )?(cachesage|npm|node) /.test(span));

  it.each(mentioned)("knows what the text mentions: %s", async (span) => {
    const [words = []] = commandLines(span.replaceAll("\n", " "));
    await expect(checkCommandLine(words, false)).resolves.toBeUndefined();
  });

  it("finds what the text mentions", () => {
    expect(mentioned.length).toBeGreaterThan(10);
  });
});

describe("JSON", () => {
  it.each(of("json").map((block) => [title(block), block.text]))("is an envelope of hints: %s", (_, text) => {
    expect(hintEnvelope.parse(JSON.parse(text as string)).actions.length).toBeGreaterThan(0);
  });
});
