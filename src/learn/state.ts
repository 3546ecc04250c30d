import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";

const count = z.number().nonnegative();
const index = z.int().nonnegative();

/** Learned counts as JSON; agents are named once, then numbered. Counts of two processes add up. */
const learnedState = z.object({
  version: z.literal(3),
  /** Names by index; the first three are no agents. */
  agents: z.array(z.string()),
  /** before (-1: one-agent context), from, pairs of a successor and its count */
  transitions: z.array(z.tuple([z.int().min(-1), index, z.array(count).readonly()]).readonly()),
  /** context, counts by bucket of return time */
  returns: z.array(z.tuple([index, z.array(count).readonly()]).readonly()),
  /** agent; samples, then pairs of a place and its rise in survivors, of returns at once; the same of later ones */
  survival: z.array(z.tuple([index, z.array(count).readonly(), z.array(count).readonly()]).readonly()),
  anchors: z.object({
    /** agent, calls, shared, sharedSamples */
    agents: z.array(z.tuple([index, count, count, count]).readonly()),
    characters: count,
    tokens: count,
  }),
  /** Counts by doublings of milliseconds, from 1 on. */
  pace: z.object({
    gaps: z.array(z.array(count).readonly()).readonly(),
    calls: z.array(count).readonly(),
    cycles: z.array(count).readonly(),
    sum: count,
    total: count,
  }),
  /** ends, returned, waits of threads whose run was completed, and of those interrupted */
  threads: z.array(z.tuple([count, count, z.array(count).readonly()]).readonly()).readonly(),
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
