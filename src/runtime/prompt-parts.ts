import type { PromptPart } from "./event.ts";

/** How many of the first `end` parts are whole messages; a message that goes on after them is none. */
export function wholeMessages(parts: readonly PromptPart[], end: number): number {
  let count = 0;
  for (let at = 0; at < end; at++) if (parts[at + 1]?.continues !== true) count++;
  return count;
}

/** How many parts two prompts begin with alike. */
export function commonParts(earlier: readonly PromptPart[], later: readonly PromptPart[]): number {
  const most = Math.min(earlier.length, later.length);
  let common = 0;
  for (; common < most; common++) {
    const part = earlier[common] as PromptPart;
    const other = later[common] as PromptPart;
    // State messages keep their identity between nodes, and so do their parts: no text comparison then.
    if (part !== other && part.hash !== other.hash) break;
  }
  return common;
}

/** Characters of parts from `start` on, `end` not included. */
export function charactersOf(parts: readonly PromptPart[], end: number, start = 0): number {
  let sum = 0;
  for (let at = start; at < end; at++) sum += (parts[at] as PromptPart).length;
  return sum;
}
