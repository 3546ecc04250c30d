import { expect, test } from "vitest";
import noGuard from "../../src/sim/baselines/no-guard.ts";
import { replay } from "../../src/sim/replay.ts";
import type { Schedule, ScheduledCall } from "../../src/sim/schedule.ts";
import { BlockIds, type RecordedRun } from "../../src/sim/workload.ts";

/** Four chats of ten turns each, a run a turn; each turn's prompt begins with all that was said before. */
function chats(withThreads: boolean): Schedule {
  const ids = new BlockIds();
  const calls: ScheduledCall[] = [];
  for (let turn = 0; turn < 10; turn++)
    for (let chat = 0; chat < 4; chat++) {
      const said = Array.from({ length: 2 * (turn + 1) }, (_, i) => ids.id(`${chat}/${i}`));
      const call = {
        agent: "assistant",
        blocks: Int32Array.from([ids.id("system"), ...said]),
        anchorBlocks: 1,
        promptTokens: 16 * (said.length + 1),
        outputTokens: 20,
      };
      const id = `${chat} ${turn}`;
      const recorded: RecordedRun = { id, calls: [call], ...(withThreads && { session: `chat ${chat}` }) };
      const index = calls.length;
      calls.push({ call, run: index, recorded, at: index, isLast: true });
    }
  const workload = {
    name: "chats",
    blockTokens: 16,
    blockCount: ids.count,
    runs: calls.map(({ recorded }) => recorded),
  };
  return { workload, concurrency: 1, seed: 1, isTimed: false, calls, workingSet: ids.count };
}

test("a chat's prefix stays after its run when its thread is known", () => {
  // 81 blocks in all; 60 hold nearly everything, so that only what is let go of without need is missed.
  const { hits, touches } = replay(chats(true), noGuard, { capacity: 60 });
  const unknown = replay(chats(false), noGuard, { capacity: 60 });
  expect(touches).toBe(480);
  // At the last but a few turns all that was said before is there: at most 8 new blocks a round.
  expect(hits).toBeGreaterThan(370);
  expect(hits).toBeGreaterThanOrEqual(unknown.hits);
});
