/** Prompts of an agent that a new one is compared with: parallel branches and questions of their own take turns. */
export const RECENT_PROMPTS = 4;

/** What a new prompt has to do with an earlier one. */
export interface Kinship<T> {
  readonly before: T;
  /** First message that is another one; undefined: the new prompt goes on from it. */
  readonly at: number | undefined;
}

/**
 * Finds the earlier prompt that a new one goes on from, else the latest whose history it has with a message changed. Parallel
 * branches and new conversations may have single messages in common, such as an instruction that each of them is given.
 *
 * @param earlier of the same run and anchor, latest first.
 * @param messagesOf each message as a text that is the same for the same message.
 */
export function kinOf<T>(
  earlier: readonly T[],
  now: readonly string[],
  messagesOf: (prompt: T) => readonly string[],
): Kinship<T> | undefined {
  let changed: Kinship<T> | undefined;
  for (const before of earlier) {
    const messages = messagesOf(before);
    const at = messages.findIndex((text, index) => text !== now[index]);
    if (at < 0) return { before, at: undefined };
    if (isChanged(messages, now, at)) changed ??= { before, at };
  }
  return changed;
}

/** Whether a prompt goes on from an earlier one whose message `at` it has changed or lost. */
function isChanged(before: readonly string[], now: readonly string[], at: number): boolean {
  const rest = before.slice(at + 1);
  const [last] = rest.slice(-1);
  if (last === undefined || now.at(-1) === last) return false;
  const texts = new Set(now);
  const kept = rest.filter((text) => texts.has(text)).length;
  // They begin alike and much of what follows is the same, or what came last is there in a row.
  if (at > 0 && kept > 0 && 2 * kept >= rest.length) return true;
  return rest.length > 1 && now.some((text, index) => text === rest.at(-2) && now[index + 1] === last);
}
