import { median } from "simple-statistics";
import { fittedTable } from "../fitted-table.ts";
import { measuredEngine } from "./cost-model.ts";
import type { SimulationRow } from "./simulation-row.ts";
import type { Workload } from "./workload.ts";

const HEAD = [
  "open runs",
  "capacity",
  "policy",
  "hit rate %",
  "of LRU to Belady %",
  "of LRU to oracle %",
  "evictions",
  "prefetched used / wasted",
  "prefill tokens",
  "TTFT ms",
  "calls/s",
  "decision us mean / p99",
];

/**
 * The rows of one trace: medians over the seeds; of what is compared also least to most.
 *
 * @param columns width of the terminal in characters. Default: there is none, every cell is one line.
 */
export function simulationTable(rows: readonly SimulationRow[], columns?: number): string {
  const aligns = HEAD.map((name) => (name === "policy" ? "left" : "right"));
  return fittedTable(HEAD, groupSeeds(rows).map(line), columns, { aligns, compact: true });
}

/** What was replayed, and on what the modelled times rest. @param rows of this workload. */
export function describeWorkload(
  { name, runs, blockTokens }: Workload,
  rows: readonly SimulationRow[],
): string {
  const calls = runs.reduce((sum, run) => sum + run.calls.length, 0);
  const { model, threads, date } = measuredEngine;
  const order = rows[0]?.order === "own" ? "in the order of their own times" : "interleaved at random";
  return (
    `${name}: ${calls} calls of ${runs.length} runs in blocks of ${blockTokens} tokens, ${order}; ` +
    `times modelled after preset ${model} on ${threads} thread${threads === 1 ? "" : "s"}, measured ${date}${leftOut(calls, rows)}`
  );
}

function leftOut(calls: number, rows: readonly SimulationRow[]): string {
  const counts = rows.map((row) => row.calls);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  if (rows.length === 0 || least === calls) return "";
  return (
    `\nReplayed ${least === most ? least : `${least} to ${most}`} of these calls: not those from before the replay began of runs ` +
    "that were under way then, nor those after --max-touches"
  );
}

/** Groups of rows that differ in their seed only, in the order of their first rows. */
export function groupSeeds(rows: readonly SimulationRow[]): readonly (readonly SimulationRow[])[] {
  const groups = new Map<string, SimulationRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.trace, row.concurrency, row.capacity_given, row.policy]);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()];
}

function line(seeds: readonly SimulationRow[]): string[] {
  const [first] = seeds;
  const middle = (value: (row: SimulationRow) => number) => median(seeds.map(value));
  const spread = (value: (row: SimulationRow) => number | null) => percent(seeds.map(value));
  const rounded = (value: (row: SimulationRow) => number) => middle(value).toFixed(0);
  return [
    String(first?.concurrency),
    `${first?.capacity_given} (${rounded(({ capacity }) => capacity)})`,
    String(first?.policy),
    spread(({ hit_rate }) => hit_rate),
    spread(({ gap_closed }) => gap_closed),
    spread(({ oracle_share }) => oracle_share),
    rounded(({ evictions }) => evictions),
    `${rounded(({ prefetch }) => prefetch.used)} / ${rounded(({ prefetch }) => prefetch.wasted)}`,
    rounded(({ prefill_tokens }) => prefill_tokens),
    rounded(({ ttft_ms }) => ttft_ms.mean),
    middle(({ calls_per_second }) => calls_per_second).toPrecision(3),
    `${middle(({ decision_us }) => decision_us.mean).toFixed(1)} / ${middle(({ decision_us }) => decision_us.p99).toFixed(1)}`,
  ];
}

/** Shares in [0, 1] as percent: their median, and least to most where they differ. */
function percent(shares: readonly (number | null)[]): string {
  const known = shares.filter((share) => share !== null).map((share) => 100 * share);
  if (known.length === 0) return "-";
  const [least, most] = [Math.min(...known).toFixed(1), Math.max(...known).toFixed(1)];
  const range = least === most ? "" : ` (${least}-${most})`;
  return `${median(known).toFixed(1)}${range}`;
}
