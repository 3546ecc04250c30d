import { fittedTable } from "../../fitted-table.ts";
import type { Inspection } from "./inspection.ts";
import type { Quantiles } from "./reuse.ts";

/** Wider tables do not fit a terminal; `--json` has all. */
const LISTED = 10;

/**
 * An inspection as text: tables, then the verdict.
 *
 * @param columns width of the terminal in characters. Default: there is none, every cell is one line.
 */
export function inspectionReport(inspection: Inspection, columns?: number): string {
  const { trace, runs, calls, agents, block_tokens, schedule, verdict } = inspection;
  const ends = Object.entries(inspection.runs_by_status).map(([status, count]) => `${count} ${status}`);
  const order = schedule.has_own_times ? "in the order of their own times" : "interleaved at random";
  return [
    `${trace}: calls ${calls}, runs ${runs}${ends.length > 0 ? ` (${ends.join(", ")})` : ""}, agents ${agents.length}, tokens a block ${block_tokens}\n` +
      `Looked at with ${schedule.concurrency} open runs ${order}, seed ${schedule.seed}: ${schedule.calls} calls, ` +
      `a working set of ${schedule.working_set.toFixed(0)} blocks`,
    agentTable(inspection, columns),
    anchorTable(inspection, columns),
    reuseTable(inspection),
    transitionTable(inspection, columns),
    forecastLine(inspection),
    sizeTable(inspection, columns),
    verdict.sentences.join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function agentTable({ agents }: Inspection, columns?: number): string {
  const rows = agents
    .slice(0, LISTED)
    .map((row) => [
      named(row.agent),
      String(row.calls),
      String(row.runs),
      row.prompt_tokens.toFixed(0),
      row.anchor_tokens.toFixed(0),
      row.output_tokens.toFixed(0),
    ]);
  const head = ["agent", "calls", "runs", "prompt tokens", "anchor tokens", "output tokens"];
  return `${title("Agents", agents.length)}, tokens as means\n${table(head, rows, columns)}`;
}

function anchorTable({ anchors }: Inspection, columns?: number): string {
  const { distinct, shared, shared_share, largest } = anchors;
  if (distinct === 0) return "Anchors: none on record";
  const rows = largest
    .slice(0, LISTED)
    .map((use) => [listed(use.agents), String(use.tokens), String(use.calls), String(use.runs)]);
  return (
    `${title("Anchors", distinct)}: ${shared} shared by runs, together ${percent(shared_share)} of all prompt blocks\n` +
    table(["agents", "anchor tokens", "calls", "runs"], rows, columns)
  );
}

function reuseTable({ reuse }: Inspection): string {
  const text =
    `Reuse: of ${reuse.touches} block touches ${percent(reuse.first)} are first ones, ${percent(reuse.same_run)} come after ` +
    `the same run, ${percent(reuse.other_run)} after another`;
  const { distance_calls: inCalls, distance_blocks: inBlocks } = reuse;
  if (!inCalls || !inBlocks) return text;
  const rows = [line("calls", inCalls), line("distinct blocks", inBlocks)];
  return `${text}\n${table(["distance in", "p10", "p50", "p90", "p99"], rows)}`;
}

function line(unit: string, { p10, p50, p90, p99 }: Quantiles): string[] {
  return [unit, ...[p10, p50, p90, p99].map(String)];
}

function transitionTable({ transitions }: Inspection, columns?: number): string {
  const { agents, counts, ends, entropy, switches } = transitions;
  if (entropy === null) return "Transitions: none, no run has two calls";
  const shown = agents.slice(0, LISTED);
  const rows = shown.map((agent, current) => {
    const end = ends[current] ?? 0;
    const total = (counts[current] ?? []).reduce((sum, count) => sum + count, end);
    const row = shown.map((_, next) => counts[current]?.[next] ?? 0);
    return [named(agent), ...[...row, end].map((count) => (count === 0 ? "" : (count / total).toFixed(2)))];
  });
  const change =
    switches === null
      ? "The agent never changes inside a run."
      : `At ${switches.count} changes of agent the most frequent successor is right ${percent(switches.top1)} of the time, ` +
        `${percent(switches.top1_so_far)} with the counts up to then, ${percent(switches.top1_any)} without knowing who is current.`;
  return (
    `${title("Transitions", agents.length)}, from row to column\n` +
    `${table(["", ...shown.map(named), "end"], rows, columns)}\n` +
    `Entropy of the next agent ${entropy.next.toFixed(2)} bits, ${entropy.next_given_current.toFixed(2)} when the current one is ` +
    `known (${percent(entropy.reduction)} less). ${change}`
  );
}

function forecastLine({ forecast }: Inspection): string {
  const { switches, top1, calibration_error: apart } = forecast;
  if (top1 === null || apart === null) return "";
  return (
    `The learner, from the calls before only, names the next agent right at ${percent(top1)} of ${switches} changes; ` +
    `its probabilities are off by ${percent(apart)} (expected calibration error).`
  );
}

function sizeTable({ sizes }: Inspection, columns?: number): string {
  if (sizes.length === 0) return "";
  const rows = sizes.map((size) => [
    `${size.percent} %`,
    String(size.blocks),
    ...[size.lru, size.lru_with_release, size.order_oracle, size.belady].map(percent),
  ]);
  const head = ["of the working set", "blocks", "LRU", "LRU + release", "order oracle", "Belady"];
  return `Hit rate against cache size\n${table(head, rows, columns)}`;
}

function title(name: string, count: number): string {
  return count > LISTED ? `${name} (${LISTED} of ${count})` : name;
}

function table(head: readonly string[], rows: readonly (readonly string[])[], columns?: number): string {
  const aligns = head.map((_, column) => (column === 0 ? "left" : "right"));
  return fittedTable(head, rows, columns, { aligns, compact: true });
}

function listed(agents: readonly string[]): string {
  const [first, second, third, ...more] = agents.map(named);
  const names = [first, second, third].filter((name) => name !== undefined).join(", ");
  return more.length === 0 ? names : `${names} and ${more.length} more`;
}

function named(agent: string): string {
  return agent === "" ? "(none)" : agent;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
