import type { Schedule, ScheduledCall } from "../sim/schedule.ts";
import type { RecordedCall, Workload } from "../sim/workload.ts";
import type { PlannedRun, PlayedCall } from "./graph.ts";
import type { PromptTree } from "./prompt-tree.ts";

/** Tokens of a block of the embedded engine's cache. */
const ENGINE_BLOCK = 16;

/** What an engine served, as replays take it: in cache blocks, in the order in which it was served. */
export interface Served {
  /** Tokens of a block: the engine's where the played blocks are made of such, else theirs. */
  readonly blockTokens: number;
  /** Prompts alone. */
  readonly prompts: Schedule;
  /** Milliseconds from its run's last answer to each of these calls; to a run's first, from the end that made room for it. */
  readonly gapsMs: Float64Array;
  /** Prompts and their answers, which take up cache as well and are never asked for again. */
  readonly withAnswers: Schedule;
}

/** Turns what was played into schedules; calls are in the order of their first tokens, as the engine admits them. */
export function servedSchedule(
  played: readonly PlayedCall[],
  {
    blockTokens,
    tree,
    seed,
    concurrency,
  }: {
    readonly blockTokens: number;
    readonly tree: PromptTree;
    readonly seed: number;
    readonly concurrency: number;
  },
): Served {
  const parts = blockTokens % ENGINE_BLOCK === 0 ? blockTokens / ENGINE_BLOCK : 1;
  const size = blockTokens / parts;
  const order = played.toSorted((a, b) => firstTokenAt(a) - firstTokenAt(b));
  const begun = Math.min(...played.map(({ record }) => record.sentAt));
  const gaps = gapsBefore(played, begun);
  let blockCount = tree.count * parts;
  const scheduled = order.map((one): readonly [ScheduledCall, ScheduledCall] => {
    const { record, run, isLast } = one;
    const blocks = splitBlocks(tree.ids(one.call), parts);
    // The last token of an answer is drawn, not computed.
    const answer = Array.from({ length: Math.ceil(record.outputTokens / size) }, () => blockCount++);
    // What is cached is looked up when the request's turn has come, which is nearer to its first token than to its sending.
    const at = firstTokenAt(one) - begun;
    const durationMs = record.answerMs;
    const call: RecordedCall = { ...one.call, blocks, outputTokens: record.outputTokens, durationMs };
    const whole = { ...call, blocks: Int32Array.from([...blocks, ...answer]) };
    const recorded = { id: String(run), calls: [] };
    return [
      { call, run, thread: run, recorded, at, isLast },
      { call: whole, run, thread: run, recorded, at, isLast },
    ];
  });
  const schedule = (calls: readonly ScheduledCall[]): Schedule => {
    const workload: Workload = { name: "served", blockTokens: size, blockCount, runs: [] };
    return { workload, concurrency, seed, isTimed: true, calls, workingSet: 0 };
  };
  return {
    blockTokens: size,
    gapsMs: Float64Array.from(order, (one) => gaps.get(one) ?? 0),
    prompts: schedule(scheduled.map(([prompt]) => prompt)),
    withAnswers: schedule(scheduled.map(([, whole]) => whole)),
  };
}

/** The played workload with the ids of its prompt tree, for its working set. */
export function plannedWorkload(
  runs: readonly PlannedRun[],
  tree: PromptTree,
  blockTokens: number,
): Workload {
  return {
    name: "planned",
    blockTokens,
    blockCount: tree.count,
    runs: runs.map(({ recorded, calls }) => ({
      id: recorded.id,
      calls: calls.map(({ call }): RecordedCall => ({ ...call, blocks: tree.ids(call) })),
    })),
  };
}

function gapsBefore(played: readonly PlayedCall[], begun: number): ReadonlyMap<PlayedCall, number> {
  const gaps = new Map<PlayedCall, number>();
  const last = new Map<number, PlayedCall>();
  const ends = played.filter(({ isLast }) => isLast).map((one) => answeredAt(one));
  for (const one of played.toSorted((a, b) => a.record.sentAt - b.record.sentAt)) {
    const { sentAt } = one.record;
    const before = last.get(one.run);
    const since = before ? answeredAt(before) : Math.max(begun, ...ends.filter((end) => end <= sentAt));
    gaps.set(one, sentAt - since);
    last.set(one.run, one);
  }
  return gaps;
}

function answeredAt({ record }: PlayedCall): number {
  return record.sentAt + record.ttftMs + record.answerMs;
}

function firstTokenAt({ record }: PlayedCall): number {
  return record.sentAt + record.ttftMs;
}

function splitBlocks(ids: Int32Array, parts: number): Int32Array {
  const blocks = new Int32Array(ids.length * parts);
  for (const index of blocks.keys())
    blocks[index] = (ids[Math.floor(index / parts)] as number) * parts + (index % parts);
  return blocks;
}
