import type { AgentId } from "../../runtime/event.ts";
import { agentHops } from "../agent-hops.ts";
import type { Baseline } from "../cache-policy.ts";
import { ScoredCache } from "../scored-cache.ts";

/** Added to each count of a transition. */
const SMOOTHING = 0.01;
/** Least probability of a transition that is an edge. */
const THRESHOLD = 0.1;
const MOST_HOPS = 6;
/** Per step; a step is one request here, where an engine has several of them. */
const DECAY = 0.005;
const FLOOR = 0.01;

/**
 * CacheScout, CacheSage's successor: Eq. 9, (survival + floor) x (recency + floor) x block size, with Algorithm 1's one
 * current agent and its counts over all time. The paper gives no constants; these are an independent replication's.
 */
export default {
  name: "scout",
  description: "CacheScout's Eq. 9: survival by hops times recency, with a replication's constants",
  source:
    "arXiv 2608.14624, https://arxiv.org/abs/2608.14624; constants: github.com/MostafaaElhadidy/Agentic-KV-Cache-Management",
  create({ blockCount, blockTokens }) {
    const transitions = new SmoothedTransitions();
    const usedBy: AgentId[] = [];
    let current: AgentId | undefined;
    let hops: ReadonlyMap<AgentId, number> = new Map();
    let now = 0;
    const cache = new ScoredCache(blockCount, (block, _position, usedAt) => {
      const distance = hops.get(usedBy[block] as AgentId) ?? MOST_HOPS;
      const survival = 1 - Math.min(distance, MOST_HOPS) / MOST_HOPS;
      return (survival + FLOOR) * (Math.exp(-DECAY * (now - usedAt)) + FLOOR) * blockTokens;
    });
    return {
      request(arrival) {
        const { agent, blocks, index } = arrival;
        if (agent !== current) {
          transitions.add(current, agent);
          current = agent;
          hops = agentHops(agent, (from) => transitions.successors(from), MOST_HOPS);
        }
        now = index;
        for (const block of blocks) usedBy[block] = agent;
        cache.insert(arrival);
      },
      victim: (needed) => cache.take(needed),
    };
  },
} satisfies Baseline;

/** Eq. 3: counts of all transitions so far, smoothed over the agents seen so far. */
class SmoothedTransitions {
  readonly #agents = new Set<AgentId>();
  readonly #counts = new Map<AgentId, Map<AgentId, number>>();

  add(from: AgentId | undefined, to: AgentId): void {
    this.#agents.add(to);
    if (from === undefined) return;
    let row = this.#counts.get(from);
    if (!row) this.#counts.set(from, (row = new Map()));
    row.set(to, (row.get(to) ?? 0) + 1);
  }

  successors(from: AgentId): AgentId[] {
    const row = this.#counts.get(from);
    let total = this.#agents.size * SMOOTHING;
    for (const count of row?.values() ?? []) total += count;
    return [...this.#agents].filter((to) => ((row?.get(to) ?? 0) + SMOOTHING) / total >= THRESHOLD);
  }
}
