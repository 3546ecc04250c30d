/** What is known of a model call's answer, as a number below `ANSWERS`: whether it asks for tools, and how long it is. */
export type Answer = number;

/** Nothing is known, or not yet. */
export const UNKNOWN: Answer = 0;
export const ANSWERS = 64;
/** Kinds of asking for tools: not known, no, yes; a power of 2. */
const KINDS = 4;
/** Lengths are told apart by doublings; the last one holds all from 8,192 tokens on. */
const LONGEST = 14;

/**
 * Agents answer in kinds that differ in length: a name, a verdict, a plan, a file. Which one it was tells who is next, and
 * no text has to be seen for it.
 *
 * @param callsTools the answer asks for tools; undefined: not known.
 * @param tokens of the answer; undefined: not known.
 */
export function answerOf(callsTools: boolean | undefined, tokens: number | undefined): Answer {
  const asked = callsTools === undefined ? 0 : callsTools ? 2 : 1;
  const length = tokens !== undefined && tokens >= 1 ? 32 - Math.clz32(tokens) : 0;
  return Math.min(LONGEST, length) * KINDS + asked;
}

/** Whether it asks for tools: 0 not known, 1 no, 2 yes. */
export function toolsOf(answer: Answer): number {
  return answer % KINDS;
}
