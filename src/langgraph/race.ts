import { setTimeout as delay } from "node:timers/promises";
import { Attempt } from "./attempt.ts";

/** Timers of Node that are longer go off at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Who answered a call that was made twice; undefined: neither did. */
export type Winner = "first" | "second" | undefined;

/** A call that may be made a second time while the first one is under way. */
export interface RaceParts {
  /** @param secondAt base URL of the server for the second time; undefined: it is the first time. */
  send(signal: AbortSignal, secondAt: string | undefined): Promise<Response>;
  /** Milliseconds without a first token after which the call is late. */
  readonly patienceMs: number;
  /** Where a late call is made again; undefined: nowhere. Rejects when the signal aborts: it is late no more. */
  late(signal: AbortSignal): Promise<string | undefined>;
  /** Told once of a call for which `late` named a server. */
  decided(winner: Winner): void;
}

/**
 * Makes a call, and once more when it is late. What answers first stands: of streams the first token, else the status line.
 * The other one is aborted, and nothing of it is seen. Who aborts the call aborts both. When both fail, the first one's
 * failure stands.
 */
export async function race(parts: RaceParts, signal: AbortSignal | undefined): Promise<Response> {
  const first = new Attempt((own) => parts.send(own, undefined), signal);
  const settled = new AbortController();
  const second = makeLate(parts, settled.signal, signal);
  const fastest = await Promise.race([first.result, second.then((made) => made?.result ?? first.result)]);
  settled.abort();
  const made = await second;
  if (!made) return first.take();
  const slower = fastest.attempt === first ? made : first;
  const winner = fastest.isAnswer || !(await slower.result).isAnswer ? fastest.attempt : slower;
  const { isAnswer } = await winner.result;
  const taken = isAnswer ? winner : first;
  (taken === first ? made : first).abort();
  parts.decided(isAnswer ? (taken === first ? "first" : "second") : undefined);
  return taken.take();
}

/** The second attempt; undefined when none is made. */
async function makeLate(
  parts: RaceParts,
  settled: AbortSignal,
  signal: AbortSignal | undefined,
): Promise<Attempt | undefined> {
  try {
    await delay(Math.min(parts.patienceMs, LONGEST_DELAY_MS), undefined, { signal: settled });
    const server = signal?.aborted ? undefined : await parts.late(settled);
    if (server === undefined) return undefined;
    if (!settled.aborted) return new Attempt((own) => parts.send(own, server), signal);
    // Answered in the very moment in which it was decided.
    parts.decided("first");
    return undefined;
  } catch {
    return undefined;
  }
}
