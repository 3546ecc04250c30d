import cachesage from "../../dist/sim/baselines/cachesage.js";
import lru from "../../dist/sim/baselines/lru.js";
import { replay } from "../../dist/sim/replay.js";
import { randomNumbers } from "./workload.mjs";

const AGENTS = 8;
const ANCHOR_BLOCKS = 20;
const CALLS = 12;
const BLOCKS_A_CALL = 8;
const TOUCHES = 3_000_000;
const REPEATS = 3;

/** Runs of 12 calls by 8 agents with shared messages, so many of them open at once; the next call is that of any. */
function workload(openRuns) {
  const random = randomNumbers();
  let blockCount = AGENTS * ANCHOR_BLOCKS;
  const open = [];
  const calls = [];
  let opened = 0;
  for (let touches = 0; touches < TOUCHES;) {
    if (open.length < openRuns) open.push({ run: opened++, agent: 0, history: [], calls: 0 });
    const slot = Math.floor(random() * open.length);
    const run = open[slot];
    run.agent = random() < 0.7 ? (run.agent + 1) % AGENTS : Math.floor(random() * AGENTS);
    for (let i = 0; i < BLOCKS_A_CALL; i++) run.history.push(blockCount++);
    const anchor = Array.from({ length: ANCHOR_BLOCKS }, (_, i) => run.agent * ANCHOR_BLOCKS + i);
    const blocks = Int32Array.from([...anchor, ...run.history]);
    touches += blocks.length;
    const isLast = ++run.calls === CALLS;
    const call = {
      agent: `agent-${run.agent}`,
      blocks,
      anchorBlocks: ANCHOR_BLOCKS,
      promptTokens: 0,
      outputTokens: 0,
    };
    calls.push({ call, run: run.run, recorded: {}, at: calls.length, isLast });
    if (isLast) open[slot] = { run: opened++, agent: 0, history: [], calls: 0 };
  }
  const capacity = AGENTS * ANCHOR_BLOCKS + openRuns * 12;
  return {
    schedule: { workload: { blockTokens: 16, blockCount, runs: [] }, calls, isTimed: false, seed: 1 },
    capacity,
  };
}

/**
 * Block touches a second of the fastest of three replays, in millions, under LRU and our policy.
 *
 * @param {number} openRuns
 */
export function replaying(openRuns) {
  const { schedule, capacity } = workload(openRuns);
  const measure = (baseline) => {
    const speeds = Array.from({ length: REPEATS }, () => {
      const started = performance.now();
      const { touches } = replay(schedule, baseline, { capacity });
      return touches / (performance.now() - started) / 1000;
    });
    return Math.max(...speeds);
  };
  return { lru: measure(lru), cachesage: measure(cachesage), calls: schedule.calls.length };
}
