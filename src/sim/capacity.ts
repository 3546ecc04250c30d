import { InvalidOptionsError } from "../errors.ts";
import type { Schedule } from "./schedule.ts";

/** `25%` of the open runs' mean working set, `4096t` tokens, or a plain number of blocks. */
export const CAPACITY = /^(?=.*[1-9])(\d+(\.\d+)?%|\d+t?)$/;

/** What is said of a text that CAPACITY does not match. */
export const CAPACITY_EXPECTED = "expected such as 25% of the working set, 4096t tokens or 64 blocks";

/**
 * Blocks of a cache of the given size, at least one.
 *
 * @param given as CAPACITY has it.
 * @throws InvalidOptionsError for a percentage of a workload whose prompts fill no block.
 */
export function capacityIn(given: string, { workload, workingSet }: Schedule): number {
  const size = Number.parseFloat(given);
  if (given.endsWith("t")) return atLeastOne(size / workload.blockTokens);
  if (!given.endsWith("%")) return size;
  if (workingSet > 0) return atLeastOne((size / 100) * workingSet);
  throw new InvalidOptionsError(
    "simulate",
    `--capacity: ${given} of the working set, but ${workload.name} has none: no prompt fills a block`,
    { hint: "Give blocks (64) or tokens (4096t) instead." },
  );
}

function atLeastOne(blocks: number): number {
  return Math.max(1, Math.floor(blocks));
}
