import type { RunId } from "../../runtime/event.ts";
import type { Observed } from "../observed.ts";
import type { RunTimeline } from "../run-timelines.ts";

const MAX_PREFETCHES = 200;

/** The newest runs, and one of them call by call. @param chosen default: the newest with more than one call. */
export function runs(observed: Observed, chosen: RunId | undefined) {
  const { runs: timelines, source } = observed;
  const newest = timelines.newest;
  const shown =
    (chosen === undefined ? undefined : timelines.get(chosen)) ??
    newest.find(({ calls }) => calls > 3) ??
    newest.find(({ calls }) => calls > 0) ??
    newest[0];
  const now = source.clock.now();
  return {
    now,
    runs: newest.map(summary),
    shown: shown
      ? {
          ...summary(shown),
          steps: shown.steps.map((step) => ({
            agent: step.agent,
            startedAt: step.startedAt,
            firstTokenAt: step.firstTokenAt ?? null,
            endedAt: step.endedAt ?? null,
            status: step.status ?? null,
            promptTokens: step.promptTokens ?? null,
            cachedTokens: step.cachedTokens ?? null,
            outputTokens: step.outputTokens ?? null,
          })),
          tools: shown.tools.map(({ tool, agent, startedAt, endedAt = null }) => ({
            tool,
            agent,
            startedAt,
            endedAt,
          })),
          prefetches: prefetchesOf(observed, shown.run),
        }
      : null,
  };
}

function summary({ run, session, graph, startedAt, endedAt, status, calls, steps }: RunTimeline) {
  let promptTokens = 0;
  let cachedTokens = 0;
  for (const step of steps)
    if (step.cachedTokens !== undefined) {
      promptTokens += step.promptTokens ?? 0;
      cachedTokens += step.cachedTokens;
    }
  return {
    run,
    session: session ?? null,
    graph: graph ?? null,
    startedAt,
    endedAt: endedAt ?? null,
    status: status ?? "open",
    calls,
    cachedShare: promptTokens === 0 ? null : cachedTokens / promptTokens,
  };
}

function prefetchesOf({ source }: Observed, run: RunId) {
  const found = [];
  for (const entry of source.ledger) {
    const { action, at, outcome } = entry;
    if (entry.run !== run || action.type !== "prefetch") continue;
    const { agent } = action.prefix;
    found.push({
      at,
      agent,
      probability: action.probability,
      tokens: action.tokens,
      status: outcome?.status ?? null,
    });
    if (found.length >= MAX_PREFETCHES) break;
  }
  return found.toReversed();
}
