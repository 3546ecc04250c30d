import { median } from "simple-statistics";
import { fittedTable } from "../fitted-table.ts";
import { type Agreement, agrees, agreesAtItsSpeed, LIMITS } from "./agreement.ts";

const HEAD = [
  "seed",
  "calls",
  "hit rate % engine",
  "simulated",
  "points",
  "TTFT mean ms engine",
  "simulated",
  "%",
  "busy s engine",
  "simulated",
  "TTFT at its speed",
  "%",
  `within ${LIMITS.hitRatePoints} points, ${LIMITS.ttftPercent} %`,
];

/**
 * Engine and simulator side by side, and what the simulated times rest on.
 *
 * @param columns width of the terminal in characters. Default: there is none, every cell is one line.
 */
export function agreementTable(rows: readonly Agreement[], columns?: number): string {
  const cells = rows.map((row) => [
    String(row.seed),
    String(row.calls),
    percent(row.hit_rate.engine),
    percent(row.hit_rate.simulated),
    signed(row.hit_rate_points),
    row.ttft_ms.engine.toFixed(1),
    row.ttft_ms.simulated.toFixed(1),
    signed(row.ttft_percent),
    row.busy_ms.engine === null ? "-" : (row.busy_ms.engine / 1000).toFixed(1),
    (row.busy_ms.simulated / 1000).toFixed(1),
    row.ttft_ms.at_its_speed?.toFixed(1) ?? "-",
    row.ttft_percent_at_its_speed === null ? "-" : signed(row.ttft_percent_at_its_speed),
    verdict(row),
  ]);
  const table = fittedTable(HEAD, cells, columns, { aligns: HEAD.map(() => "right") });
  return [
    "arm lru on the engine against a replay of the same calls with LRU:",
    table,
    ...(rows.length > 1 ? [medians(rows)] : []),
    "at its speed: with all modelled times longer or shorter by what the engine's computing took longer or shorter than modelled.",
    "cost models, fitted to requests of their own on this engine, before and after the calls:",
    ...rows.map(({ seed, fit: { cost, typicalError } }) => {
      const terms = Object.entries(cost).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
      return `  seed ${seed}: ${terms.join(", ")}; typical error ${percent(typicalError)} %`;
    }),
  ].join("\n");
}

function verdict(row: Agreement): string {
  if (agrees(row)) return "yes";
  return agreesAtItsSpeed(row) ? "at its speed" : "no";
}

function medians(rows: readonly Agreement[]): string {
  const points = median(rows.map((row) => row.hit_rate_points));
  const share = median(rows.map((row) => row.ttft_percent));
  const atSpeed = rows.flatMap(({ ttft_percent_at_its_speed: own }) => (own === null ? [] : [own]));
  const ofModel = atSpeed.length === 0 ? "" : `, at its speed ${signed(median(atSpeed))} %`;
  return `median over ${rows.length} seeds: hit rate ${signed(points)} points, mean TTFT ${signed(share)} %${ofModel}`;
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${value.toFixed(1)}`;
}
