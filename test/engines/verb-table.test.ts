import { afterAll, expect, test } from "vitest";
import { engines } from "../../src/engine-registry.ts";
import { examine, type Diagnosis } from "../../src/doctor/examine.ts";
import type { HintType } from "../../src/runtime/action.ts";
import type { EngineAdapter } from "../../src/runtime/engine.ts";
import { EngineHttp } from "../../src/wire/engine-http.ts";
import { type NamedSubject, real, stopShared } from "./subjects.ts";

const verbs = ["retain", "release", "prefetch", "pin", "evict", "cancel"] as const;

interface Row {
  readonly supports: EngineAdapter["supports"];
  readonly diagnosis: Diagnosis;
}

const rows: Row[] = [];

afterAll(async () => {
  await stopShared();
  process.stderr.write(`${verbTable(rows)}\n`);
});

test.each(real.filter(({ missing }) => missing === undefined))(
  "$name does what its adapter supports",
  { timeout: 300_000 },
  async (subject: NamedSubject) => {
    await using server = await subject.serve();
    const adapter = subject.create(server.url);
    const diagnosis = await examine({
      definition: await engines.load(subject.name),
      adapter,
      http: new EngineHttp({ engine: subject.name, url: server.url }),
      model: undefined,
      signal: new AbortController().signal,
    });
    rows.push({ supports: adapter.supports, diagnosis });
    const seen = new Map(diagnosis.findings.map(({ what, verdict }) => [what, verdict]));
    for (const verb of verbs)
      expect(["works", "ignored"].includes(seen.get(verb) ?? "")).toBe(verb in adapter.supports);
    expect(seen.get("prefetch")).toBe("works");
    expect(seen.get("cached tokens")).toBe("works");
    expect(diagnosis.prefix?.warmCachedTokens).toBeGreaterThan(diagnosis.prefix?.coldCachedTokens ?? 0);
    await adapter.close();
  },
);

/**
 * The engines that ran, as Markdown: for each verb what the adapter supports and what was seen; then one prompt of about 600
 * tokens, cold, asked again, and after a prefetch: how many of its tokens were cached, and milliseconds to one token.
 */
function verbTable(found: readonly Row[]): string {
  const head = ["engine", ...verbs, "prompt", "cold", "warm", "prefetched", "evicted"];
  const lines = found.map(({ supports, diagnosis: { engine, findings, prefix } }) => {
    const of = (verb: HintType) => findings.find(({ what }) => what === verb);
    const after = (verb: HintType): string => {
      const { cachedTokens, ms } = of(verb)?.after ?? {};
      return cell(cachedTokens ?? null, ms);
    };
    return [
      `${engine.engine} ${engine.version ?? ""}`.trim(),
      ...verbs.map((verb) => `${supports[verb] ?? "-"}: ${of(verb)?.verdict ?? "-"}`),
      String(prefix?.promptTokens ?? "-"),
      cell(prefix?.coldCachedTokens ?? null, prefix?.coldMs),
      cell(prefix?.warmCachedTokens ?? null, prefix?.warmMs),
      after("prefetch"),
      after("evict"),
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cell(cachedTokens: number | null, ms: number | undefined): string {
  return ms === undefined ? "-" : `${cachedTokens ?? "?"} cached, ${ms.toFixed(0)} ms`;
}
