import type { AgentId, RunId } from "../../runtime/event.ts";
import type { RecordedCall, Workload } from "../workload.ts";

/** What one agent asks of an engine. Tokens are means over its calls. */
export interface AgentSummary {
  readonly agent: AgentId;
  readonly calls: number;
  readonly runs: number;
  readonly prompt_tokens: number;
  /** In whole blocks. */
  readonly anchor_tokens: number;
  readonly output_tokens: number;
}

/** All agents, the busiest first. */
export function summariseAgents({ runs, blockTokens }: Workload): readonly AgentSummary[] {
  const byAgent = new Map<AgentId, { calls: RecordedCall[]; runs: Set<RunId> }>();
  for (const { id, calls } of runs)
    for (const call of calls) {
      let found = byAgent.get(call.agent);
      if (!found) byAgent.set(call.agent, (found = { calls: [], runs: new Set() }));
      found.calls.push(call);
      found.runs.add(id);
    }
  return [...byAgent]
    .map(([agent, { calls, runs: itsRuns }]) => {
      const mean = (value: (call: RecordedCall) => number) =>
        calls.reduce((sum, call) => sum + value(call), 0) / calls.length;
      return {
        agent,
        calls: calls.length,
        runs: itsRuns.size,
        prompt_tokens: mean(({ promptTokens }) => promptTokens),
        anchor_tokens: mean(({ anchorBlocks }) => anchorBlocks * blockTokens),
        output_tokens: mean(({ outputTokens }) => outputTokens),
      };
    })
    .toSorted((a, b) => b.calls - a.calls);
}
