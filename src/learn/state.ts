import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";
import { WRITTEN_COUNTS } from "./counts.ts";

const count = z.number().nonnegative();
const index = z.int().nonnegative();
/** As `writeCounts` has them. */
const counts = z.string().regex(WRITTEN_COUNTS, "no counts as snapshot() writes them");

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
