import { LearnedPredictor } from "../../learn/predictor.ts";
import type { Event } from "../../runtime/event.ts";
import type { Baseline } from "../cache-policy.ts";
import { LearnedPolicy } from "../learned-policy.ts";
import { replay } from "../replay.ts";

/** cachesage with all counts of the whole replay from the beginning: what it loses because it has to learn first. */
export default {
  name: "hindsight",
  description:
    "cachesage, but it has seen the whole replay once before (an oracle: knows what it will learn)",
  source: "this project: what its learner loses because it has to learn; see README",
  create(context) {
    const predictor = new LearnedPredictor();
    const open = new Set<string>();
    const end = context.schedule.calls.reduce(
      (latest, { at, call }) => Math.max(latest, at + (call.durationMs ?? 0)),
      0,
    );
    /** Runs and threads of that time are others, and it lies before the replay. */
    const observe = (event: Event) => {
      if (!("run" in event) || event.run === undefined) return;
      const run = `earlier ${event.run}`;
      if (event.type === "run-end") open.delete(run);
      else open.add(run);
      const session = "session" in event && event.session !== undefined && `earlier ${event.session}`;
      predictor.observe({
        ...event,
        at: event.at - end,
        run,
        ...(session !== false && { session }),
      } as Event);
    };
    const learner = { observe, next: () => [], branch: () => 0, nextBranch: () => 0, reuse: () => 0 };
    replay(
      context.schedule,
      { ...this, isUnbounded: true, create: (whole) => new LearnedPolicy(whole, {}, learner) },
      { capacity: context.capacity },
    );
    for (const run of open) predictor.observe({ type: "run-end", at: 0, run, status: "failed" });
    return new LearnedPolicy(context, {}, predictor);
  },
} satisfies Baseline;
