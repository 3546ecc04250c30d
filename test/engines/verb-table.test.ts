import { afterAll, expect, test } from "vitest";
import { engines } from "../../src/engine-registry.ts";
import { examine, type Diagnosis } from "../../src/doctor/examine.ts";
import { EngineHttp } from "../../src/wire/engine-http.ts";
import { type NamedSubject, real, stopShared } from "./subjects.ts";

const verbs = ["retain", "release", "prefetch", "pin", "evict", "cancel"] as const;
const diagnoses: Diagnosis[] = [];

afterAll(async () => {
  await stopShared();
  process.stderr.write(`${verbTable(diagnoses)}\n`);
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
    diagnoses.push(diagnosis);
    const seen = new Map(diagnosis.findings.map(({ what, verdict }) => [what, verdict]));
    for (const verb of verbs)
      expect(["works", "ignored"].includes(seen.get(verb) ?? "")).toBe(verb in adapter.supports);
    expect(seen.get("prefetch")).toBe("works");
    expect(seen.get("cached tokens")).toBe("works");
    expect(diagnosis.prefix?.warmCachedTokens).toBeGreaterThan(diagnosis.prefix?.coldCachedTokens ?? 0);
    await adapter.close();
  },
);

/** The engines that ran, as Markdown: what each verb came to, and one prompt cold and warm. */
function verbTable(rows: readonly Diagnosis[]): string {
  const head = ["engine", ...verbs, "prompt", "cached cold", "cached warm", "cold ms", "warm ms"];
  const lines = rows.map(({ engine, findings, prefix }) => [
    `${engine.engine} ${engine.version ?? ""}`.trim(),
    ...verbs.map((verb) => findings.find(({ what }) => what === verb)?.verdict ?? "-"),
    String(prefix?.promptTokens ?? "-"),
    String(prefix?.coldCachedTokens ?? "-"),
    String(prefix?.warmCachedTokens ?? "-"),
    prefix?.coldMs.toFixed(0) ?? "-",
    prefix?.warmMs.toFixed(0) ?? "-",
  ]);
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
