import type { AgentId } from "../../runtime/event.ts";
import { agentHops } from "../agent-hops.ts";
import type { Baseline } from "../cache-policy.ts";
import { RecencyList } from "../recency-list.ts";
import { ScoredCache } from "../scored-cache.ts";

/** Transitions that count. */
const WINDOW = 4096;
/** Least probability of a transition that is an edge. */
const THRESHOLD = 0.01;
const MOST_HOPS = 8;
/** Of survival against recency: the default of the authors' published code; a replication reads the paper as about 1. */
const SURVIVAL_WEIGHT = 4;

/**
 * CacheSage as published: transitions between agents learned over all runs at once, survival of the agent that used a
 * block last by its hops from the one agent that acted last anywhere, plus recency within what is in cache.
 */
export default {
  name: "paper",
  description: "CacheSage as published: one current agent for all runs, survival by hops, plus recency",
  source: "arXiv 2605.27744, https://arxiv.org/abs/2605.27744",
  create({ blockCount }) {
    const transitions = new TransitionWindow();
    const recency = new RecencyList(blockCount);
    const usedBy: AgentId[] = [];
    const lastUses = new Float64Array(blockCount);
    let current: AgentId | undefined;
    let hops: ReadonlyMap<AgentId, number> = new Map();
    let now = 0;
    let oldest = 0;
    const cache = new ScoredCache(blockCount, (block, _position, usedAt) => {
      const distance = hops.get(usedBy[block] as AgentId) ?? MOST_HOPS;
      const survival = 1 - Math.min(distance, MOST_HOPS) / MOST_HOPS;
      return SURVIVAL_WEIGHT * survival + (usedAt - oldest) / Math.max(1, now - oldest);
    });
    return {
      request(arrival) {
        const { agent, blocks, index } = arrival;
        if (agent !== current) {
          if (current !== undefined) transitions.add(current, agent);
          current = agent;
          hops = agentHops(agent, (from) => transitions.successors(from), MOST_HOPS);
        }
        now = index;
        for (const block of blocks) {
          usedBy[block] = agent;
          lastUses[block] = index;
        }
        recency.usePrompt(blocks);
        cache.insert(arrival);
      },
      victim(needed) {
        oldest = lastUses[recency.oldest ?? 0] as number;
        const block = cache.take(needed);
        recency.remove(block);
        return block;
      },
    };
  },
} satisfies Baseline;

/** Counts of the latest transitions. */
class TransitionWindow {
  readonly #latest: (readonly [AgentId, AgentId])[] = [];
  readonly #counts = new Map<AgentId, Map<AgentId, number>>();

  add(from: AgentId, to: AgentId): void {
    this.#latest.push([from, to]);
    this.#count(from, to, 1);
    if (this.#latest.length <= WINDOW) return;
    const [oldFrom, oldTo] = this.#latest.shift() as [AgentId, AgentId];
    this.#count(oldFrom, oldTo, -1);
  }

  successors(from: AgentId): AgentId[] {
    const row = [...(this.#counts.get(from) ?? [])];
    const total = row.reduce((sum, [, count]) => sum + count, 0);
    return row.filter(([, count]) => count > 0 && count / total >= THRESHOLD).map(([to]) => to);
  }

  #count(from: AgentId, to: AgentId, change: number): void {
    let row = this.#counts.get(from);
    if (!row) this.#counts.set(from, (row = new Map()));
    row.set(to, (row.get(to) ?? 0) + change);
  }
}
