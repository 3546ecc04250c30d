import { median } from "simple-statistics";
import { number } from "./summarise.mjs";

const SEEDS = [1, 2, 3];

/** Several arms in turn, each with every seed, whose order changes; prints the median of each measure and its range. */
export async function compareArms(policy, arms, measure, names) {
  const order = Object.keys(arms);
  const rows = Object.fromEntries(order.map((arm) => [arm, []]));
  for (const seed of SEEDS) {
    for (const arm of [...order.slice(seed % order.length), ...order.slice(0, seed % order.length)])
      rows[arm].push(await measure(arms[arm](seed), seed));
  }
  print(policy, rows, names);
}

/** The same where one measurement is of all arms at once. */
export async function compareAtOnce(policy, measure, names) {
  const rows = {};
  for (const seed of SEEDS)
    for (const [arm, row] of Object.entries(await measure(seed))) (rows[arm] ??= []).push(row);
  print(policy, rows, names);
}

function print(policy, rows, names) {
  for (const [key, name] of Object.entries(names)) {
    const shown = Object.entries(rows).map(([arm, own]) => {
      const values = own.map((row) => row[key]);
      const range = `${number(Math.min(...values))} to ${number(Math.max(...values))}`;
      return `${arm} ${number(median(values))} (${range})`;
    });
    console.log(`${policy}: ${name}: ${shown.join(", ")}`);
  }
}

/** Whether the answers of all arms are the same; throws where they are not. */
export function expectEqual(policy, answers) {
  if (new Set(answers).size > 1) throw new Error(`${policy}: answers are not the same in all arms`);
}
