import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { markdownTable } from "../../src/cli/markdown-table.ts";
import { runProgram } from "../../src/cli/program.ts";
import { connectOptions } from "../../src/connect-options.ts";
import * as api from "../../src/index.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import { root } from "./markdown.ts";

const file = fileURLToPath(new URL("README.md", root));
const readme = readFileSync(file, "utf8");

/** What stands between the marks of the README that name a command, by the first word of the mark. */
const generated: Readonly<Record<string, () => Promise<string>>> = {
  engines: () => printed("engines", "--markdown"),
  policies: () => printed("policies", "--markdown"),
  metrics: async () => metricTable(),
};

it("has the tables that are generated; `vitest -u` writes them", async () => {
  let wanted = readme;
  for (const [name, make] of Object.entries(generated)) {
    const marks = new RegExp(`(<!-- ${name}\\b.*-->\n)[^]*?(<!-- /${name} -->)`);
    expect(wanted).toMatch(marks);
    const table = await make();
    wanted = wanted.replace(marks, (_, before: string, after: string) => `${before}\n${table}\n${after}`);
  }
  await expect(wanted).toMatchFileSnapshot(file);
});

it("lists every error code, with a class that there is", () => {
  const source = readFileSync(new URL("src/errors.ts", root), "utf8");
  const union = /export type ErrorCode =([^;]+);/.exec(source)?.[1] ?? "";
  const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code);
  const rows = rowsBelow("| code | class | when |");
  expect(codes.length).toBeGreaterThan(5);
  expect(rows.flatMap(([names = ""]) => wordsIn(names)).toSorted()).toEqual(codes.toSorted());
  const classes = rows.flatMap(([, name = ""]) => wordsIn(name));
  expect(classes.filter((name) => !(name in api))).toEqual([]);
  const thrown = Object.keys(api).filter((name) => name.endsWith("Error"));
  expect(thrown.filter((name) => !classes.includes(name))).toEqual([]);
});

it("lists every option of connect", () => {
  const rows = rowsBelow("| option | default | |");
  expect(rows.flatMap(([names = ""]) => wordsIn(names)).toSorted()).toEqual(
    Object.keys(connectOptions.shape).toSorted(),
  );
});

async function printed(...words: readonly string[]): Promise<string> {
  let stdout = "";
  const signal = new AbortController().signal;
  const write = (text: string) => void (stdout += text);
  await runProgram(words, { stdout: write, stderr: () => {}, signal, isTTY: false, env: {} });
  return stdout;
}

function metricTable(): string {
  const registry = new Registry();
  prometheus({ registry });
  const rows = registry.getMetricsAsArray().map((metric) => {
    const { name, help, labelNames } = metric as typeof metric & { readonly labelNames: readonly string[] };
    return [`\`${name}\``, metric.constructor.name.toLowerCase(), labelNames.join(", "), help];
  });
  return markdownTable(["metric", "type", "labels", ""], rows.toSorted());
}

/** Cells of the table with this head. */
function rowsBelow(head: string): readonly (readonly string[])[] {
  const from = readme.indexOf(head);
  expect(from).toBeGreaterThan(0);
  const lines = readme.slice(from).split("\n").slice(2);
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function wordsIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`(\w+)`/g)].map(([, word = ""]) => word);
}
