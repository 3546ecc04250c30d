import type { CostModel } from "../../src/sim/cost-model.ts";
import type { Schedule, ScheduledCall } from "../../src/sim/schedule.ts";
import { BlockIds, type RecordedCall, type RecordedRun } from "../../src/sim/workload.ts";

/** On the way 10 ms; a step 2 ms, a cold block 16 ms, a token of an answer 3 ms; two blocks fit into a step. */
export const cost: CostModel = {
  overheadMs: 10,
  requestMs: 0,
  promptTokenMs: 0,
  stepMs: 2,
  tokenMs: 1,
  squaredTokenMs: 0,
  answerTokenMs: 3,
  answerContextMs: 0,
  chunkTokens: 32,
  maxRunning: 4,
};

/**
 * A schedule as one writes it down: calls apart by spaces, each its blocks as letters, with run and agent before them where
 * they matter, as in `abc`, `1:abc` and `1:planner:abc`. A letter is the same block wherever it stands.
 */
export function written(text: string): Schedule {
  const ids = new BlockIds();
  const runs = new Map<string, { index: number; recorded: RecordedRun; calls: RecordedCall[] }>();
  const order = text.split(" ").map((part) => {
    const parts = part.split(":");
    const letters = parts.at(-1) ?? "";
    const run = parts.length > 1 ? (parts[0] ?? "") : "1";
    const agent = parts.length > 2 ? (parts[1] ?? "") : "agent";
    const calls: RecordedCall[] = [];
    const own = runs.get(run) ?? { index: runs.size, recorded: { id: run, calls }, calls };
    runs.set(run, own);
    const blocks = Int32Array.from(letters, (letter) => ids.id(letter));
    const call = { agent, blocks, anchorBlocks: 0, promptTokens: 16 * blocks.length, outputTokens: 1 };
    own.calls.push(call);
    return { own, call };
  });
  const calls = order.map(({ own, call }, at): ScheduledCall => ({
    call,
    run: own.index,
    thread: own.index,
    recorded: own.recorded,
    at,
    isLast: own.calls.at(-1) === call,
  }));
  const recorded = [...runs.values()].map((own) => own.recorded);
  const workload = { name: "written", blockTokens: 16, blockCount: ids.count, runs: recorded };
  return { workload, concurrency: runs.size, seed: 1, isTimed: false, calls, workingSet: ids.count };
}
