import type { AgentId } from "../../runtime/event.ts";
import { agentHops } from "../agent-hops.ts";
import type { Baseline } from "../cache-policy.ts";
import { ScoredCache } from "../scored-cache.ts";

/**
 * Evicts the block with the most steps to execution: hops from a run's current agent to an agent that has used the block in
 * that run, the least over all open runs. A trace has no declared graph: each transition seen so far within a run is an edge.
 */
export default {
  name: "declared-graph",
  description: "steps to execution in an unweighted graph of agents, as KVFlow has it",
  source: "KVFlow, arXiv 2507.07400, https://arxiv.org/abs/2507.07400",
  create({ blockCount }) {
    const graph = new Map<AgentId, Set<AgentId>>();
    const current = new Map<number, AgentId>();
    /** By block: the agents that used it, by run. */
    const owners: (Map<number, Set<AgentId>> | undefined)[] = [];
    const hopsFrom = new Map<AgentId, ReadonlyMap<AgentId, number>>();
    const hops = (from: AgentId) => {
      let known = hopsFrom.get(from);
      if (!known) hopsFrom.set(from, (known = agentHops(from, (agent) => graph.get(agent) ?? [])));
      return known;
    };
    const learn = (from: AgentId, to: AgentId) => {
      let successors = graph.get(from);
      if (!successors) graph.set(from, (successors = new Set()));
      if (successors.has(to)) return;
      successors.add(to);
      hopsFrom.clear();
    };
    const steps = (block: number) => {
      let least = Number.POSITIVE_INFINITY;
      const runs = owners[block];
      if (runs)
        for (const [run, agents] of runs) {
          const from = current.get(run);
          if (from === undefined) runs.delete(run);
          else for (const agent of agents) least = Math.min(least, hops(from).get(agent) ?? least);
        }
      return least;
    };
    const cache = new ScoredCache(blockCount, (block) => -steps(block));
    return {
      request(arrival) {
        const { run, agent, blocks } = arrival;
        const previous = current.get(run);
        if (previous !== undefined) learn(previous, agent);
        current.set(run, agent);
        for (const block of blocks) {
          const runs = (owners[block] ??= new Map());
          let agents = runs.get(run);
          if (!agents) runs.set(run, (agents = new Set()));
          agents.add(agent);
        }
        cache.insert(arrival);
      },
      victim: (needed) => cache.take(needed),
      ended: (run) => void current.delete(run),
    };
  },
} satisfies Baseline;
