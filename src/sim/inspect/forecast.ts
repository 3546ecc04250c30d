import { LearnedPredictor } from "../../learn/predictor.ts";
import type { Schedule } from "../schedule.ts";

/** How well the learner tells who is next, call by call, from nothing but the calls before. */
export interface ForecastSummary {
  /** Changes of agent inside a run, and the share of them whose next agent was named first among the others. */
  readonly switches: number;
  readonly top1: number | null;
  /** Expected calibration error of all probabilities of 0.05 and more, in [0, 1]. */
  readonly calibration_error: number | null;
}

/** Lets the learner predict every call of a schedule before it comes. */
export function summariseForecast({ calls, isTimed }: Schedule): ForecastSummary {
  const predictor = new LearnedPredictor();
  const open = new Set<number>();
  for (const { call, run, at: time, isLast, recorded } of calls) {
    const at = isTimed ? time : 0;
    const id = String(run);
    const { agent, step, callsTools, promptTokens, outputTokens, namespace = "" } = call;
    if (!open.has(run)) predictor.observe({ type: "run-start", at, run: id });
    open.add(run);
    // Asked as late as can be: what the call before answered is known by then.
    predictor.next(id);
    predictor.observe({
      type: "request-start",
      at,
      run: id,
      agent,
      namespace,
      request: id,
      prompt: { anchor: { hash: agent, length: 0 }, history: [] },
      ...(step !== undefined && { step }),
    });
    predictor.observe({
      type: "request-end",
      at,
      run: id,
      agent,
      namespace,
      request: id,
      status: "completed",
      usage: { promptTokens, outputTokens },
      ...(callsTools !== undefined && { callsTools }),
    });
    if (!isLast) continue;
    open.delete(run);
    predictor.next(id);
    predictor.observe({ type: "run-end", at, run: id, status: recorded.status ?? "completed" });
  }
  const { asked, right, calibrationError } = predictor.accuracy;
  return {
    switches: asked,
    top1: asked === 0 ? null : right / asked,
    calibration_error: calibrationError,
  };
}
