import type { AgentId, RunId } from "../../runtime/event.ts";
import type { Workload } from "../workload.ts";

/** One text of system message and tools, and who begins prompts with it. */
export interface AnchorUse {
  readonly agents: readonly AgentId[];
  /** In whole blocks. */
  readonly tokens: number;
  readonly calls: number;
  readonly runs: number;
}

export interface AnchorSummary {
  readonly distinct: number;
  /** Of these, used by two runs or more. */
  readonly shared: number;
  /** Blocks of shared anchors over all blocks of all prompts, in [0, 1]. */
  readonly shared_share: number;
  /** Those that most blocks of prompts belong to, the largest first. */
  readonly largest: readonly AnchorUse[];
}

const LISTED = 20;

/** Anchors by their blocks: equal blocks are the same anchor, whoever uses it. Calls without an anchor do not count. */
export function summariseAnchors({ runs, blockTokens }: Workload): AnchorSummary {
  const uses = new Map<string, { agents: Set<AgentId>; runs: Set<RunId>; blocks: number; calls: number }>();
  let promptBlocks = 0;
  for (const { id, calls } of runs)
    for (const { agent, blocks, anchorBlocks } of calls) {
      promptBlocks += blocks.length;
      if (anchorBlocks === 0) continue;
      const key = blocks.subarray(0, anchorBlocks).join();
      let use = uses.get(key);
      if (!use) uses.set(key, (use = { agents: new Set(), runs: new Set(), blocks: anchorBlocks, calls: 0 }));
      use.agents.add(agent);
      use.runs.add(id);
      use.calls++;
    }
  const sorted = [...uses.values()].toSorted((a, b) => b.blocks * b.calls - a.blocks * a.calls);
  const shared = sorted.filter((use) => use.runs.size > 1);
  const sharedBlocks = shared.reduce((sum, { blocks, calls }) => sum + blocks * calls, 0);
  return {
    distinct: sorted.length,
    shared: shared.length,
    shared_share: promptBlocks === 0 ? 0 : sharedBlocks / promptBlocks,
    largest: sorted.slice(0, LISTED).map(({ agents, runs: itsRuns, blocks, calls }) => ({
      agents: [...agents],
      tokens: blocks * blockTokens,
      calls,
      runs: itsRuns.size,
    })),
  };
}
