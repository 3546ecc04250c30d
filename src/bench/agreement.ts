import { mean, sumSimple as sum } from "simple-statistics";
import { type CostModel, slower } from "../sim/cost-model.ts";
import type { CostFit } from "../sim/fit-cost.ts";
import { replay } from "../sim/replay.ts";
import { serveClosedLoop } from "../sim/serve-closed-loop.ts";
import engineLru from "./engine-lru.ts";
import type { PlayedCall } from "./graph.ts";
import type { Served } from "./served.ts";

/** The same calls on the engine and in the simulator, as `--json` prints it. */
export interface Agreement {
  readonly trace: string;
  readonly seed: number;
  readonly calls: number;
  readonly kv_tokens: number;
  /** Cached prompt tokens over prompt tokens, in [0, 1]. */
  readonly hit_rate: { readonly engine: number; readonly simulated: number };
  /** Mean milliseconds from sending to first token. */
  readonly ttft_ms: {
    readonly engine: number;
    readonly simulated: number;
    /** Simulated once more with all times multiplied by `slowdown`; null where that is. */
    readonly at_its_speed: number | null;
  };
  /** Milliseconds in which the engine computed. */
  readonly busy_ms: { readonly engine: number | null; readonly simulated: number };
  /** Simulated less measured hit rate, in points. */
  readonly hit_rate_points: number;
  /** Simulated against measured mean TTFT, in percent. */
  readonly ttft_percent: number;
  /**
   * How many times longer than modelled the engine computed: the state of a machine that is not equally fast while it is measured and
   * while it serves. Null when the engine does not tell.
   */
  readonly slowdown: number | null;
  /** As `ttft_percent`, at that speed. */
  readonly ttft_percent_at_its_speed: number | null;
  /** What simulated times rest on, fitted to requests before and after the calls. */
  readonly fit: CostFit;
}

/** How far the simulator may be from the engine. */
export const LIMITS = { hitRatePoints: 2, ttftPercent: 10 } as const;

/** Whether the simulator is near enough in both. */
export function agrees({ hit_rate_points, ttft_percent }: Agreement): boolean {
  return isNear(hit_rate_points, ttft_percent);
}

/** The same, but for what the machine was slower or faster while it served. */
export function agreesAtItsSpeed({ hit_rate_points, ttft_percent_at_its_speed }: Agreement): boolean {
  return ttft_percent_at_its_speed !== null && isNear(hit_rate_points, ttft_percent_at_its_speed);
}

function isNear(points: number, percent: number): boolean {
  return Math.abs(points) <= LIMITS.hitRatePoints && Math.abs(percent) <= LIMITS.ttftPercent;
}

/**
 * Replays with LRU what the engine served with LRU, in its very order and at its capacity, and compares. For times, what is
 * taken from the engine's run is how long each agent waited after an answer; when calls arrive and how long they wait for
 * the engine is modelled.
 */
export function compare(
  played: readonly PlayedCall[],
  served: Served,
  named: Pick<Agreement, "trace" | "seed" | "kv_tokens" | "fit"> & { readonly busyMs: number | null },
): Agreement {
  const capacity = Math.floor(named.kv_tokens / served.blockTokens);
  const outcome = replay(served.withAnswers, engineLru, { capacity });
  const serveAt = (cost: CostModel) =>
    serveClosedLoop(served.prompts, { ...outcome, gapsMs: served.gapsMs }, cost, capacity);
  const { busyMs, ...rest } = named;
  const { cost } = rest.fit;
  const times = serveAt(cost);
  const slowdown = busyMs === null ? null : busyMs / times.busyMs;
  const promptTokens = sum(played.map(({ record }) => record.promptTokens));
  const cachedTokens = sum(played.map(({ record }) => record.cachedTokens ?? 0));
  const hit_rate = {
    engine: cachedTokens / promptTokens,
    simulated: (outcome.hits * served.blockTokens) / promptTokens,
  };
  const ttft_ms = {
    engine: mean(played.map(({ record }) => record.ttftMs)),
    simulated: mean([...times.ttftMs]),
    at_its_speed: slowdown === null ? null : mean([...serveAt(slower(cost, slowdown)).ttftMs]),
  };
  const apart = (simulated: number) => 100 * (simulated / ttft_ms.engine - 1);
  return {
    ...rest,
    calls: played.length,
    busy_ms: { engine: busyMs, simulated: times.busyMs },
    hit_rate,
    ttft_ms,
    hit_rate_points: 100 * (hit_rate.simulated - hit_rate.engine),
    ttft_percent: apart(ttft_ms.simulated),
    slowdown,
    ttft_percent_at_its_speed: ttft_ms.at_its_speed === null ? null : apart(ttft_ms.at_its_speed),
  };
}
