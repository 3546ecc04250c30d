import { type Arm, type ArmResult, hasHints } from "../arms/arm.ts";
import { playArm } from "../arms/play-arm.ts";
import { startTarget } from "../arms/target.ts";
import { buildTeam, firstCalls, runConfig, type RunPlan, TeamLog } from "./graph.ts";
import type { Route } from "./routing.ts";
import { attachTarget } from "./running-server.ts";

/** Longer than any prompt of the team: fourteen turns of answers and tool results on the longest anchor. */
const CONTEXT_TOKENS = 4096;

export interface TeamArmOptions {
  readonly runs: readonly RunPlan[];
  /** Runs open at once. */
  readonly concurrency: number;
  readonly kvTokens: number;
  readonly toolMs: number;
  readonly answerTokens: number;
  readonly model: string;
  /** Base URL of a server that already runs; undefined: a fresh engine in this process. */
  readonly engine: string | undefined;
  /** Name of that server's adapter and its options. */
  readonly engineName?: string;
  readonly engineOptions?: Readonly<Record<string, unknown>>;
  /** Tells this arm's prompts from other arms' on the same server. */
  readonly nonce: string;
  readonly route: Route;
  readonly signal: AbortSignal;
  /** Told after each finished run. */
  readonly onRun: () => void;
}

/** Plays all runs of the team in one arm. */
export function playTeam(arm: Arm, options: TeamArmOptions): Promise<ArmResult<TeamLog>> {
  const { engine, toolMs, route, signal } = options;
  return playArm(arm, {
    ...options,
    arrivalMs: toolMs / 4,
    start: () =>
      engine === undefined
        ? startTarget({
            model: options.model,
            kvTokens: options.kvTokens,
            prefixCaching: arm !== "none",
            order: hasHints(arm) ? "scored" : "lru",
            contextTokens: CONTEXT_TOKENS,
          })
        : attachTarget(options.engineName ?? "embedded", engine, signal),
    app({ modelOf, ...told }) {
      const log = new TeamLog();
      const nonce = engine === undefined ? "" : `[${options.nonce}] `;
      const team = { model: modelOf(options.answerTokens), toolMs, route, log, nonce, ...told };
      const graph = buildTeam(team);
      return {
        log,
        graph,
        firstCalls: () => firstCalls(team),
        invoke: (plan, index) =>
          graph.invoke(
            { messages: [{ role: "user", content: plan.task }] },
            runConfig(plan, `run-${index}`, signal),
          ),
      };
    },
  });
}
