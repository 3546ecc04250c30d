import type { Status } from "../runtime/event.ts";

/** LangGraph throws these in a node that asks a human, and ends the run without an error. */
const INTERRUPTED = /\b(GraphInterrupt|NodeInterrupt)\b/;
/** As names or whole messages, of LangGraph, LangChain and the openai client. */
const CANCELLED = /\b(AbortError|APIUserAbortError)\b|^(Error: )?(Aborted|Abort|Request was aborted\.)$/m;

/** How work ended of which an observer kept that it failed, with the text of the error: message, name and stack in any order. */
export function endingOf(error: string): Status {
  if (INTERRUPTED.test(error)) return "interrupted";
  return CANCELLED.test(error) ? "cancelled" : "failed";
}
