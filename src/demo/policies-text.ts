import Table from "cli-table3";
import type { AllPoliciesResult, PolicyRow } from "./all-policies.ts";

/** The result as a table and two lines, for people. */
export function policiesText({
  rows,
  runs,
  identical,
  toolCalls,
  seconds,
  faults,
}: AllPoliciesResult): string {
  const table = new Table({
    head: ["policy", "decisions", "wins", "drops, with reasons", "hooks: calls, mean and p99 us"],
    style: { head: [], border: [] },
    colWidths: [16, 11, 7, 44, 44],
    wordWrap: true,
  });
  for (const row of rows) table.push([row.policy, row.decisions, row.wins, dropsOf(row), hooksOf(row)]);
  const [off, on] = seconds;
  return `${table.toString()}
${identical} of ${runs} runs gave the same messages with all policies off and on; ${faults} faults.
tool calls ${toolCalls[0]} off, ${toolCalls[1]} on; ${off.toFixed(1)} s off, ${on.toFixed(1)} s on.
`;
}

function dropsOf({ drops }: PolicyRow): string {
  return Object.entries(drops)
    .map(([reason, count]) => `${count} ${reason}`)
    .join("\n");
}

function hooksOf({ hooks }: PolicyRow): string {
  return Object.entries(hooks)
    .map(([hook, { calls, mean, p99 }]) => `${hook}: ${calls}, ${mean.toFixed(1)}, ${p99.toFixed(1)}`)
    .join("\n");
}
