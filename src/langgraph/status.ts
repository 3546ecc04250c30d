import type { Status } from "../runtime/event.ts";
import { isObject } from "./shapes.ts";

const INTERRUPTS: ReadonlySet<unknown> = new Set(["GraphInterrupt", "NodeInterrupt", "GraphDrained"]);
const ABORTS: ReadonlySet<unknown> = new Set(["AbortError", "ModelAbortError", "APIUserAbortError"]);
/** LangGraph, LangChain and the openai client abort with plain errors that only their text tells apart. */
const ABORT_MESSAGES: ReadonlySet<unknown> = new Set([
  "Abort",
  "Aborted",
  "AbortError",
  "Request was aborted.",
]);

/**
 * What an error says about the work that it ended. LangGraph also throws for interrupts and hand-offs, which are
 * no failures.
 */
export function statusOf(error: unknown): Status {
  if (!isObject(error)) return "failed";
  if (INTERRUPTS.has(error["name"])) return "interrupted";
  if (error["is_bubble_up"] === true) return "completed";
  return ABORTS.has(error["name"]) || ABORT_MESSAGES.has(error["message"]) ? "cancelled" : "failed";
}
