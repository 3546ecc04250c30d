import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import typescript from "typescript";
import { builtPackage, run } from "../record/build.ts";
import { root } from "./markdown.ts";

const folder = new URL("examples/", root);
const examples = readdirSync(folder).filter((name) => name.endsWith(".ts"));
const built = builtPackage();
const script = (name: string) => built.file(`examples/${name.replace(/ts$/, "js")}`);

beforeAll(() => {
  mkdirSync(built.file("examples"));
  for (const name of examples) {
    // Types go and nothing else, as where Node runs them itself: what an older Node cannot read must show.
    const { outputText } = typescript.transpileModule(readFileSync(new URL(name, folder), "utf8"), {
      compilerOptions: {
        target: typescript.ScriptTarget.ESNext,
        module: typescript.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(script(name), outputText);
  }
});

it.each(examples)("%s runs by the oldest Node that there may be, and says something", async (name) => {
  const { code, stdout, stderr } = await run([script(name)]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).not.toBe("");
});
