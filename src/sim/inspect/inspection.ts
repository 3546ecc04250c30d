import { setImmediate } from "node:timers/promises";
import type { Status } from "../../runtime/event.ts";
import { schedule, type ScheduleOptions } from "../schedule.ts";
import type { Workload } from "../workload.ts";
import { type AgentSummary, summariseAgents } from "./agents.ts";
import { type AnchorSummary, summariseAnchors } from "./anchors.ts";
import { type ForecastSummary, summariseForecast } from "./forecast.ts";
import { type ReuseSummary, summariseReuse } from "./reuse.ts";
import { compareSizes, REPLAYS_A_SIZE, type SizeResult, SIZES } from "./sizes.ts";
import { summariseTransitions, type TransitionSummary } from "./transitions.ts";
import { judge, type Verdict } from "./verdict.ts";

/** What a recorded workload is like, as `--json` prints it. */
export interface Inspection {
  readonly trace: string;
  readonly runs: number;
  /** How runs ended, where that is on record. */
  readonly runs_by_status: Readonly<Partial<Record<Status, number>>>;
  readonly calls: number;
  readonly block_tokens: number;
  /** Of the interleaving that reuse and sizes were looked at with. */
  readonly schedule: {
    readonly concurrency: number;
    readonly seed: number;
    /** Calls that were replayed: fewer than all when the block touches are limited. */
    readonly calls: number;
    readonly has_own_times: boolean;
    /** Blocks. */
    readonly working_set: number;
  };
  readonly agents: readonly AgentSummary[];
  readonly anchors: AnchorSummary;
  readonly reuse: ReuseSummary;
  readonly transitions: TransitionSummary;
  readonly forecast: ForecastSummary;
  readonly sizes: readonly SizeResult[];
  readonly verdict: Verdict;
}

export interface InspectionOptions extends ScheduleOptions {
  readonly signal?: AbortSignal;
  /** Told after each step what it was. */
  readonly onStep?: (step: string) => void;
}

/** Steps that an inspection has at most. */
export const STEPS = 1 + SIZES.length * REPLAYS_A_SIZE;

/** Looks at a workload from all sides. Rejects with the signal's reason when it aborts. */
export async function inspect(workload: Workload, options: InspectionOptions): Promise<Inspection> {
  const { signal, onStep } = options;
  const agents = summariseAgents(workload);
  const anchors = summariseAnchors(workload);
  const transitions = summariseTransitions(
    workload,
    agents.map(({ agent }) => agent),
  );
  // Lets Ctrl-C be heard.
  await setImmediate();
  signal?.throwIfAborted();
  const scheduled = schedule(workload, options);
  const reuse = summariseReuse(scheduled);
  const forecast = summariseForecast(scheduled);
  onStep?.("reuse distances");
  const sizes = await compareSizes(scheduled, {
    ...(signal && { signal }),
    ...(onStep && { onReplay: onStep }),
  });
  return {
    trace: workload.name,
    runs: workload.runs.length,
    runs_by_status: countStatus(workload),
    calls: agents.reduce((sum, { calls }) => sum + calls, 0),
    block_tokens: workload.blockTokens,
    schedule: {
      concurrency: scheduled.concurrency,
      seed: scheduled.seed,
      calls: scheduled.calls.length,
      has_own_times: scheduled.isTimed,
      working_set: scheduled.workingSet,
    },
    agents,
    anchors,
    reuse,
    transitions,
    forecast,
    sizes,
    verdict: judge({ calls: scheduled.calls.length, sizes, reuse, anchors, transitions }),
  };
}

function countStatus({ runs }: Workload): Inspection["runs_by_status"] {
  const counts: Partial<Record<Status, number>> = {};
  for (const { status } of runs) if (status) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
