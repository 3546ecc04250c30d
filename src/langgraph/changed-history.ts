/** Prompts of an agent that a new one is compared with: parallel branches and questions of their own take turns. */
export const RECENT_PROMPTS = 4;

/** What a new prompt has to do with an earlier one. */
export interface Kinship<T> {
  readonly before: T;
  /** First message that is another one; undefined: the new prompt goes on from it. */
  readonly at: number | undefined;
}

/**
 * Finds the earlier prompt that a new one goes on from, else the latest whose history it has with a message changed: it has some of
 * those after that message as well. One that has none of them is a parallel branch, or a new conversation.
 *
 * @param earlier of the same run and anchor, latest first.
 * @param messagesOf each message as a text that is the same for the same message.
 */
export function kinOf<T>(
  earlier: readonly T[],
  now: readonly string[],
  messagesOf: (prompt: T) => readonly string[],
): Kinship<T> | undefined {
  const texts = new Set(now);
  let changed: Kinship<T> | undefined;
  for (const before of earlier) {
    const messages = messagesOf(before);
    const at = messages.findIndex((text, index) => text !== now[index]);
    if (at < 0) return { before, at: undefined };
    if (messages.some((text, index) => index > at && texts.has(text))) changed ??= { before, at };
  }
  return changed;
}
