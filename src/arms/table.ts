import { median } from "simple-statistics";
import { fittedTable } from "../fitted-table.ts";
import { type Arm, arms, hasHints } from "./arm.ts";
import type { ArmRow } from "./rows.ts";

const HEAD = [
  "arm",
  "seed",
  "hit rate %",
  "TTFT ms mean",
  "p50",
  "p95",
  "p99",
  "run ms",
  "runs a minute",
  "engine busy %",
  "prefetched used / wasted",
  "next agent %",
  "decision us mean / p99",
];

/**
 * The rows as a table, each seed's arms side by side, then the medians over the seeds with their spread.
 *
 * @param columns width of the terminal in characters. Default: there is none, every cell is one line.
 */
export function armTable(rows: readonly ArmRow[], columns?: number): string {
  const aligns = HEAD.map((_, i) => (i < 1 ? "left" : "right"));
  const table = fittedTable(HEAD, rows.map(line), columns, { aligns });
  const seeds = new Set(rows.map(({ seed }) => seed));
  const changes = seeds.size > 1 ? arms.filter(hasHints).map((arm) => summary(rows, arm)) : [];
  return [table, ...changes.filter((change) => change !== undefined)].join("\n");
}

function line(row: ArmRow): string[] {
  const { ttft_ms: ttft } = row;
  return [
    row.arm,
    String(row.seed),
    percent(row.hit_rate),
    ttft.mean.toFixed(0),
    ttft.p50.toFixed(0),
    ttft.p95.toFixed(0),
    ttft.p99.toFixed(0),
    row.run_ms.mean.toFixed(0),
    row.runs_per_minute.toFixed(1),
    row.utilisation === null ? "-" : percent(row.utilisation),
    hasHints(row.arm) && row.prefetch ? `${row.prefetch.used} / ${row.prefetch.wasted}` : "-",
    row.next_agent_accuracy === null ? "-" : percent(row.next_agent_accuracy),
    row.decision_us === null ? "-" : `${row.decision_us.mean.toFixed(1)} / ${row.decision_us.p99.toFixed(1)}`,
  ];
}

/** What an arm with cachesage changes against `lru`, seed by seed: median, least and most; undefined where one was not played. */
function summary(rows: readonly ArmRow[], arm: Arm): string | undefined {
  const pairs = [...new Set(rows.map(({ seed }) => seed))].flatMap((seed) => {
    const find = (name: Arm) => rows.find((row) => row.seed === seed && row.arm === name);
    const lru = find("lru");
    const hints = find(arm);
    return lru && hints ? [{ lru, hints }] : [];
  });
  if (pairs.length === 0) return undefined;
  const spread = (name: string, unit: string, of: (pair: (typeof pairs)[number]) => number) => {
    const values = pairs.map(of);
    return `  ${name}: ${signed(median(values))} ${unit} (${signed(Math.min(...values))} to ${signed(Math.max(...values))})`;
  };
  return [
    `${arm} against lru, median over ${pairs.length} seeds (least to most):`,
    spread("hit rate", "points", ({ lru, hints }) => 100 * (hints.hit_rate - lru.hit_rate)),
    spread("mean TTFT", "%", ({ lru, hints }) => relative(hints.ttft_ms.mean, lru.ttft_ms.mean)),
    spread("p99 TTFT", "%", ({ lru, hints }) => relative(hints.ttft_ms.p99, lru.ttft_ms.p99)),
    spread("throughput", "%", ({ lru, hints }) => relative(hints.runs_per_minute, lru.runs_per_minute)),
  ].join("\n");
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${value.toFixed(1)}`;
}

/** Change in percent. */
function relative(after: number, before: number): number {
  return 100 * (after / before - 1);
}
