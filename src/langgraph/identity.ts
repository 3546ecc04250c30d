import { pathAgent } from "../runtime/agent-name.ts";
import type { AgentId } from "../runtime/event.ts";

export {
  checkpointOf,
  isFrameworkNode,
  namedAgent,
  namespacePath,
  pathAgent,
  stepOf,
} from "../runtime/agent-name.ts";

/** Agent id of a node that is an agent of its own whatever it is called. */
export function nodeAgent(path: readonly string[]): AgentId {
  const name = path.at(-1) ?? "";
  if (path.length <= 1) return name;
  const parent = pathAgent(path.slice(0, -1));
  return parent === undefined ? name : `${parent}/${name}`;
}
