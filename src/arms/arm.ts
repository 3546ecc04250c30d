import type { CacheSageStats } from "../stats.ts";
import type { CallLog } from "./call-log.ts";
import type { TargetStats } from "./target.ts";

/**
 * none: the engine's prefix cache is off. lru: the unmodified stack. hints: cachesage attached, flag on. told: the same, and the app
 * says who is next as soon as the model has answered, so that nothing about it is left to learn.
 */
export const arms = ["none", "lru", "hints", "told"] as const;
export type Arm = (typeof arms)[number];

/** Those that are played by default. */
export const usualArms: readonly Arm[] = ["none", "lru", "hints"];

/** Whether cachesage is attached. */
export function hasHints(arm: Arm): boolean {
  return arm === "hints" || arm === "told";
}

/** What one arm came to. */
export interface ArmResult<Log extends CallLog = CallLog> {
  readonly log: Log;
  readonly wallMs: number;
  readonly engine: TargetStats;
  /** Only in the arm that has cachesage attached. */
  readonly sage?: CacheSageStats;
}

/** The arms in the order of a turn, which rotates so that none is always the first. */
export function armsInTurn(chosen: readonly Arm[], turn: number): readonly Arm[] {
  const start = turn % chosen.length;
  return [...chosen.slice(start), ...chosen.slice(0, start)];
}

/** Rows in the order in which they are shown: seed by seed, none before lru before hints. */
export function inOrder<Row extends { readonly arm: Arm; readonly seed: number }>(
  rows: readonly Row[],
): readonly Row[] {
  return rows.toSorted((a, b) => a.seed - b.seed || arms.indexOf(a.arm) - arms.indexOf(b.arm));
}
