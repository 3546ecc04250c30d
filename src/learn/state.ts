import { z } from "zod";
import { InvalidOptionsError } from "../errors.ts";

const count = z.number().nonnegative();
const rows = z.array(z.tuple([z.string(), count, count]).readonly());

/** Learned counts as JSON; counts of two processes add up. */
const learnedState = z.object({
  version: z.literal(1),
  transitions: z.array(z.tuple([z.string().nullable(), z.string(), z.string(), count]).readonly()),
  returns: z.array(z.tuple([z.string(), z.array(count).readonly(), z.array(count).readonly()]).readonly()),
  anchors: z.object({
    calls: z.array(z.tuple([z.string(), count])),
    shared: rows,
    kept: rows,
    characters: count,
    tokens: count,
  }),
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
