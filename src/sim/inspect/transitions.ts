import { sumSimple as sum } from "simple-statistics";
import type { AgentId } from "../../runtime/event.ts";
import type { Workload } from "../workload.ts";

/** Who follows whom inside a run. */
export interface TransitionSummary {
  readonly agents: readonly AgentId[];
  /** By agent and next agent: how often the one's call was followed by the other's. */
  readonly counts: readonly (readonly number[])[];
  /** By agent: how often its call was a run's last. */
  readonly ends: readonly number[];
  /** Bits; null where no call follows another. */
  readonly entropy: {
    /** Of the next agent. */
    readonly next: number;
    /** Of the next agent when the current one is known. */
    readonly next_given_current: number;
    /** By how much knowing it lowers the entropy, in [0, 1]. */
    readonly reduction: number;
  } | null;
  /** Calls whose agent is another than the one before; shares in [0, 1], null where there is none. */
  readonly switches: {
    readonly count: number;
    /** How often the most frequent successor of the current agent is right, over the whole trace. */
    readonly top1: number;
    /** The same with the counts up to then only, run after run. */
    readonly top1_so_far: number;
    /** How often the agent that is most often switched to is right, whoever is current. */
    readonly top1_any: number;
  } | null;
}

/** @param agents in the order that the matrix is to have. */
export function summariseTransitions({ runs }: Workload, agents: readonly AgentId[]): TransitionSummary {
  const place = new Map(agents.map((agent, index) => [agent, index]));
  const counts = agents.map(() => agents.map(() => 0));
  const ends = agents.map(() => 0);
  let rightSoFar = 0;
  for (const { calls } of runs) {
    const path = calls.map(({ agent }) => place.get(agent) as number);
    for (const [step, current] of path.entries()) {
      const next = path[step + 1];
      const row = counts[current] as number[];
      if (next === undefined) {
        ends[current] = (ends[current] as number) + 1;
        continue;
      }
      if (next !== current && mostFrequentOther(row, current) === next) rightSoFar++;
      row[next] = (row[next] as number) + 1;
    }
  }
  return { agents, counts, ends, entropy: entropyOf(counts), switches: switchesOf(counts, rightSoFar) };
}

function entropyOf(counts: readonly (readonly number[])[]): TransitionSummary["entropy"] {
  const total = sum(counts.map(sum));
  if (total === 0) return null;
  const next = bits(columns(counts));
  const given = sum(counts.map((row) => (sum(row) / total) * bits(row)));
  return { next, next_given_current: given, reduction: next === 0 ? 0 : 1 - given / next };
}

function switchesOf(
  counts: readonly (readonly number[])[],
  rightSoFar: number,
): TransitionSummary["switches"] {
  const others = counts.map((row, current) => row.map((count, next) => (next === current ? 0 : count)));
  const count = sum(others.map(sum));
  if (count === 0) return null;
  return {
    count,
    top1: sum(others.map((row) => Math.max(...row))) / count,
    top1_so_far: rightSoFar / count,
    top1_any: Math.max(...columns(others)) / count,
  };
}

function mostFrequentOther(row: readonly number[], current: number): number | undefined {
  let best: number | undefined;
  for (const [next, count] of row.entries())
    if (next !== current && count > (best === undefined ? 0 : (row[best] as number))) best = next;
  return best;
}

function columns(counts: readonly (readonly number[])[]): readonly number[] {
  return counts.map((_, column) => sum(counts.map((row) => row[column] as number)));
}

/** Shannon entropy of the distribution that the counts make. */
function bits(counts: readonly number[]): number {
  const total = sum(counts);
  return sum(counts.map((count) => (count === 0 ? 0 : (count / total) * Math.log2(total / count))));
}
