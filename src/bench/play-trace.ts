import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { type Arm, type ArmResult, hasHints } from "../arms/arm.ts";
import { playArm } from "../arms/play-arm.ts";
import { startTarget } from "../arms/target.ts";
import type { RecordedCall, RecordedRun } from "../sim/workload.ts";
import { buildTraceGraph, type PlannedRun, playRuns, TraceLog } from "./graph.ts";
import type { PromptTree } from "./prompt-tree.ts";

/** How recorded calls are sent to the engine. */
export interface Pace {
  readonly seed: number;
  /** Milliseconds between a run's calls. Recorded gaps are cut to it; others take half to one and a half of it, by seed. */
  readonly gapMs: number;
  /** Most tokens of an answer. */
  readonly answerTokens: number;
  /** Calls that end a run of a thread that goes on. */
  readonly runEnds?: ReadonlySet<RecordedCall>;
}

export interface TracePlay {
  readonly runs: readonly PlannedRun[];
  readonly tree: PromptTree;
  /** Runs open at once. */
  readonly concurrency: number;
  readonly arrivalMs: number;
  readonly model: string;
  readonly kvTokens: number;
  readonly contextTokens: number;
  readonly signal: AbortSignal;
  readonly onRun: () => void;
}

/** Gives every recorded call its answer's length and the gap after it, the same in every arm. */
export function paceRuns(runs: readonly RecordedRun[], pace: Pace): readonly PlannedRun[] {
  const random = xoroshiro128plus(pace.seed);
  return runs.map((recorded) => ({
    recorded,
    calls: recorded.calls.map((call, index) => ({
      call,
      answerTokens: Math.max(1, Math.min(pace.answerTokens, Math.round(call.outputTokens))),
      gapMs: gapAfter(call, recorded.calls[index + 1], pace.gapMs, uniformFloat64(random)),
      endsRun: pace.runEnds?.has(call) ?? false,
    })),
  }));
}

function gapAfter(call: RecordedCall, next: RecordedCall | undefined, most: number, draw: number): number {
  if (call.startMs === undefined || call.durationMs === undefined || next?.startMs === undefined)
    return most * (0.5 + draw);
  return Math.max(0, Math.min(most, next.startMs - call.startMs - call.durationMs));
}

/** Cells of KV memory, whatever the longest prompt: they are divided among as many sequences as there is room for. */
const MEMORY_TOKENS = 2 ** 19;

/** Plays recorded runs in one arm, on a fresh engine. */
export function playTrace(arm: Arm, play: TracePlay): Promise<ArmResult<TraceLog>> {
  const { runs, tree, signal } = play;
  const agents = [...new Set(runs.flatMap(({ calls }) => calls.map(({ call }) => call.agent)))];
  return playArm(arm, {
    ...play,
    start: () =>
      startTarget({
        model: play.model,
        kvTokens: play.kvTokens,
        contextTokens: play.contextTokens,
        sequences: Math.min(128, Math.max(16, Math.floor(MEMORY_TOKENS / play.contextTokens))),
        prefixCaching: arm !== "none",
        order: hasHints(arm) ? "scored" : "lru",
      }),
    app(parts) {
      const log = new TraceLog();
      const graph = buildTraceGraph({ tree, agents, log, ...parts });
      return {
        log,
        graph,
        invoke: (plan, index) => playRuns(graph, plan, index, signal),
      };
    },
  });
}
