import { isObject } from "./shapes.ts";

/** Fields by which a server keeps something of a call, or carries it on from another one. */
const STATEFUL: readonly string[] = ["previous_response_id", "conversation", "background", "container"];
/** Tools that the application runs, after one answer only; all others run at the server, and would run twice. */
const OWN_TOOLS: ReadonlySet<unknown> = new Set(["function", "custom", undefined]);

/** Whether a model call may be made twice: nothing is kept of it at the server, and no tool runs there. */
export function isRepeatable(path: string, body: string): boolean {
  const parsed: unknown = JSON.parse(body);
  if (!isObject(parsed)) return false;
  const { store, tools } = parsed;
  // The Responses API keeps every answer unless it is told not to; the others keep none unless they are told to.
  if (path.endsWith("/responses") ? store !== false : store === true) return false;
  if (
    STATEFUL.some((field) => parsed[field] !== undefined && parsed[field] !== null && parsed[field] !== false)
  )
    return false;
  return (
    tools === undefined ||
    (Array.isArray(tools) && tools.every((tool) => isObject(tool) && OWN_TOOLS.has(tool["type"])))
  );
}
