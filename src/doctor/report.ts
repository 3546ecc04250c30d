import Table from "cli-table3";
import type { Diagnosis } from "./examine.ts";

/** A diagnosis for people: what the server is, one warm and one cold prompt, then a line for each ability. */
export function diagnosisReport({ engine, url, seen, prefix, findings }: Diagnosis): string {
  const version = engine.version === undefined ? "" : ` ${engine.version}`;
  const block = engine.blockTokens === undefined ? "" : `, blocks of ${engine.blockTokens} tokens`;
  const table = new Table({
    head: ["ability", "verdict", "seen"],
    style: { head: [], border: [] },
    colWidths: [16, 12, 82],
    wordWrap: true,
  });
  for (const { what, verdict, detail } of findings) table.push([what, verdict, detail]);
  const additions = findings.flatMap(({ what, add }) => (add === undefined ? [] : `  ${what}: ${add}`));
  return [
    `${engine.engine}${version} at ${url}: ${engine.models.join(", ") || "no model listed"}${block}`,
    `This adapter: ${seen === null ? "not yet seen on a real server" : `seen on ${seen}`}`,
    ...(prefix === null ? [] : [times(prefix)]),
    table.toString(),
    ...(additions.length === 0 ? [] : ["To add:", ...additions]),
  ].join("\n");
}

function times({
  promptTokens,
  coldMs,
  warmMs,
  coldCachedTokens,
  warmCachedTokens,
}: NonNullable<Diagnosis["prefix"]>): string {
  const cold = `cold ${coldMs.toFixed(0)} ms (${coldCachedTokens ?? "?"} cached)`;
  const warm = `warm ${warmMs.toFixed(0)} ms (${warmCachedTokens ?? "?"} cached)`;
  return `One prompt of ${promptTokens ?? "?"} tokens, to its first token: ${cold}, ${warm}`;
}
