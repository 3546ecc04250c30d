import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { WRITTEN_COUNTS } from "./counts.ts";

const count = z.number().nonnegative();
const index = z.int().nonnegative();
/** As `writeCounts` has them. */
const counts = z.string().regex(WRITTEN_COUNTS, "no counts as snapshot() writes them");

/** Characters that return times of agents and all that is known of branches take in a snapshot: with 24 agents it then has less than 20 KB. */
export const ROOM = 15_360;
/** Share of it that return times of branches may take; what they leave is there for those of agents. */
export const BRANCH_SHARE = 1 / 2;

/** Of agents that go to and fro between several prompts of one run; missing in older snapshots, and where there are none. */
const branches = z.object({
  /** One after the other: agent, how many of its branches were left, how many gone on from again. */
  agents: counts,
  /** By index in what follows: agent and number of a branch; the first is none. */
  numbers: counts,
  /** As those of agents, but for whose they are. */
  returns: counts,
  /** By agent. */
  survival: counts,
});

export type BranchState = z.output<typeof branches>;

/** Learned counts as JSON; agents are named once, then numbered. Counts of two processes add up. */
const learnedState = z.object({
  version: z.literal(5),
  /** Names by index; the first three are no agents. */
  agents: z.array(z.string()),
  transitions: z.object({ agents: z.array(counts).readonly(), pairs: counts }),
  returns: counts,
  survival: counts,
  anchors: z.object({
    /** agent, calls, shared, sharedSamples, opening; the last is missing in older snapshots */
    agents: z.array(z.tuple([index, count, count, count, count.optional()]).readonly()),
    characters: count,
    tokens: count,
  }),
  pace: z.object({
    gaps: z.array(counts).readonly(),
    calls: counts,
    cycles: counts,
    sum: count,
    total: count,
  }),
  /** ends, returned, waits of threads whose run was completed, and of those interrupted */
  threads: z.array(z.tuple([count, count, counts]).readonly()).readonly(),
  branches: branches.optional(),
});

export type LearnedState = z.output<typeof learnedState>;

/** Checks a snapshot. Throws InvalidOptionsError that names the first field that is wrong. */
export function parseState(value: unknown): LearnedState {
  const parsed = learnedState.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new InvalidOptionsError("learned state", `${issue?.path.join(".") || "value"}: ${issue?.message}`, {
    hint: "Pass what snapshot() returned, unchanged, from the same major version.",
  });
}

/** Counts are written with two digits: of n events the next n differ by sqrt(n), so that more would be noise. */
export function rounded(samples: number): number {
  return Number(samples.toPrecision(2));
}
