import { END, type AgentId } from "../runtime/event.ts";
import type { NodeSpan, Span } from "./span.ts";

/**
 * Which of the agents that a node leads to run next: deferred ones wait until nothing else is left to run, and are named by the
 * node that is the last to end.
 */
export function due(
  span: NodeSpan,
  targets: readonly AgentId[],
  deferred: ReadonlySet<AgentId>,
): readonly AgentId[] {
  const { parent: graph, node } = span;
  if (!graph || deferred.size === 0) return targets;
  const deferral = (graph.deferral ??= { waiting: new Set(), goesOnAfter: undefined });
  const others = targets.filter((agent) => !deferred.has(agent));
  for (const agent of targets) if (deferred.has(agent)) deferral.waiting.add(agent);
  if (others.some((agent) => agent !== END)) deferral.goesOnAfter = node.step;
  if (deferral.goesOnAfter === node.step || hasSiblings(span) || deferral.waiting.size === 0) return others;
  const waited = [...deferral.waiting];
  deferral.waiting.clear();
  return waited;
}

/** Whether other nodes of its graph are at work. */
function hasSiblings(span: NodeSpan): boolean {
  for (const open of span.run.open) {
    const { node, parent } = open as Partial<Span>;
    if (node && parent === span.parent && open !== span) return true;
  }
  return false;
}
