import type { RecordedCall, RecordedRun, Workload } from "../../src/sim/workload.ts";

/** One call as it is written down: agent, ids of its prompt's blocks, and how many of them are its anchor. */
export type Written = readonly [agent: string, blocks: readonly number[], anchorBlocks: number];

/** A workload of runs that are written down. */
export function recorded(runs: readonly (readonly Written[])[], blockTokens = 16): Workload {
  const ids = runs.flat().flatMap(([, blocks]) => blocks);
  return {
    name: "recorded",
    blockTokens,
    blockCount: Math.max(...ids) + 1,
    runs: runs.map((calls, index): RecordedRun => ({
      id: String(index),
      calls: calls.map(([agent, blocks, anchorBlocks]): RecordedCall => ({
        agent,
        blocks: Int32Array.from(blocks),
        anchorBlocks,
        promptTokens: blocks.length * blockTokens,
        outputTokens: 5,
      })),
    })),
  };
}

const planner = [0, 1, 2];
const coder = [10, 11];

/**
 * Two agents with anchors of their own and a history that each run shares. The fourth call of the first run goes back to the
 * second's history and on from there; the third run has no anchor.
 */
export const small = recorded([
  [
    ["planner", [...planner, 20], 3],
    ["coder", [...coder, 30, 31], 2],
    ["planner", [...planner, 20, 21, 22], 3],
    ["coder", [...coder, 30, 31, 32], 2],
    ["coder", [...coder, 30, 33], 2],
  ],
  [
    ["planner", [...planner, 40, 41], 3],
    ["coder", [...coder, 50], 2],
    ["planner", [...planner, 40, 41, 42], 3],
  ],
  [
    ["reviewer", [60, 61, 62], 0],
    ["reviewer", [60, 61, 62, 63], 0],
    ["planner", [...planner], 3],
  ],
]);
