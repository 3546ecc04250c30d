import { mean, quantile, sumSimple as sum } from "simple-statistics";
import type { Arm, ArmResult } from "./arm.ts";

/** One arm of one seed, as `--json` prints it. */
export interface ArmRow {
  readonly arm: Arm;
  readonly seed: number;
  /** Cached prompt tokens / prompt tokens, in [0, 1], as the engine reported them to the client. */
  readonly hit_rate: number;
  readonly ttft_ms: {
    readonly mean: number;
    readonly p50: number;
    readonly p95: number;
    readonly p99: number;
  };
  readonly run_ms: { readonly mean: number };
  readonly runs_per_minute: number;
  /** Share of the wall time in which the engine computed, in [0, 1]; null when it does not tell. */
  readonly utilisation: number | null;
  /** Prompt tokens computed ahead of time, by what became of them; null when the engine does not tell. */
  readonly prefetch: { readonly used: number; readonly wasted: number } | null;
  /** Share of agent changes whose agent was predicted, in [0, 1]; null where nothing predicts. */
  readonly next_agent_accuracy: number | null;
  /** Time of one decision; null where none is taken. */
  readonly decision_us: { readonly mean: number; readonly p99: number } | null;
}

export function toRow(arm: Arm, seed: number, { log, wallMs, engine, sage }: ArmResult): ArmRow {
  const ttft = log.calls.map(({ ttftMs }) => ttftMs);
  const prompt = sum(log.calls.map(({ promptTokens }) => promptTokens));
  const cached = sum(log.calls.map(({ cachedTokens }) => cachedTokens ?? 0));
  const decisions = sage?.decisionUs ?? [];
  return {
    arm,
    seed,
    hit_rate: prompt === 0 ? 0 : cached / prompt,
    ttft_ms: {
      mean: mean(ttft),
      p50: quantile(ttft, 0.5),
      p95: quantile(ttft, 0.95),
      p99: quantile(ttft, 0.99),
    },
    run_ms: { mean: mean(log.runMs) },
    runs_per_minute: (60_000 * log.runMs.length) / wallMs,
    utilisation: engine.busyMs === null ? null : engine.busyMs / wallMs,
    prefetch: engine.prefetch && { used: engine.prefetch.used, wasted: engine.prefetch.wasted },
    next_agent_accuracy:
      sage && sage.nextAgent.asked > 0 ? sage.nextAgent.right / sage.nextAgent.asked : null,
    decision_us:
      decisions.length > 0 ? { mean: mean([...decisions]), p99: quantile([...decisions], 0.99) } : null,
  };
}
