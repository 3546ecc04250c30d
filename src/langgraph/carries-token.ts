import { isObject } from "./shapes.ts";

/** Whether an event of a streamed answer has something of the answer in it, in any of the APIs. */
export function carriesToken(event: unknown): boolean {
  if (!isObject(event)) return false;
  const { type, choices } = event;
  if (typeof type === "string") return type.endsWith(".delta") || type === "content_block_delta";
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (!isObject(choice)) return false;
  const delta = isObject(choice["delta"]) ? choice["delta"] : {};
  return (
    [delta["content"], delta["reasoning_content"], delta["reasoning"], choice["text"]].some(Boolean) ||
    Array.isArray(delta["tool_calls"])
  );
}
