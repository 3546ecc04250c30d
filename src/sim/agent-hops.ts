import type { AgentId } from "../runtime/event.ts";

/**
 * Hops to each agent that can be reached in a graph of agents, breadth first; the start itself is 0 hops away.
 *
 * @param limit agents farther away are left out.
 */
export function agentHops(
  start: AgentId,
  successors: (agent: AgentId) => Iterable<AgentId>,
  limit = Number.POSITIVE_INFINITY,
): ReadonlyMap<AgentId, number> {
  const hops = new Map([[start, 0]]);
  // A map goes on to what is added to it while it is iterated.
  for (const [agent, distance] of hops) {
    if (distance >= limit) break;
    for (const next of successors(agent)) if (!hops.has(next)) hops.set(next, distance + 1);
  }
  return hops;
}
