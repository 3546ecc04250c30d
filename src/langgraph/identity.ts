import type { AgentId } from "../runtime/event.ts";

const FRAMEWORK_NODES: ReadonlySet<string> = new Set([
  "agent",
  "model_request",
  "tools",
  "pre_model_hook",
  "post_model_hook",
  "generate_structured_response",
]);
const MIDDLEWARE_HOOK = /\.(before|after)_(agent|model)$/;

/** True for the nodes that createReactAgent and createAgent put into every agent. */
export function isFrameworkNode(name: string): boolean {
  return FRAMEWORK_NODES.has(name) || (name.includes(".") && MIDDLEWARE_HOOK.test(name));
}

/** The checkpoint namespace in the metadata of a call: that of the node it runs in. */
export function checkpointOf(metadata: Readonly<Record<string, unknown>> | undefined): unknown {
  return metadata?.["langgraph_checkpoint_ns"] ?? metadata?.["checkpoint_ns"];
}

/**
 * Node names of a checkpoint namespace, outermost first. Segments without an id only number the calls of one
 * subgraph and are left out.
 */
export function namespacePath(namespace: unknown): readonly string[] {
  if (typeof namespace !== "string" || namespace === "") return [];
  const names: string[] = [];
  for (const segment of namespace.split("|")) {
    const end = segment.indexOf(":");
    if (end >= 0) names.push(segment.slice(0, end));
  }
  return names;
}

/** Agent id of a path without its framework nodes; undefined when nothing else is left. */
export function pathAgent(path: readonly string[]): AgentId | undefined {
  return path.filter((name) => !isFrameworkNode(name)).join("/") || undefined;
}

/** Agent id of a node that is an agent of its own whatever it is called. */
export function nodeAgent(path: readonly string[]): AgentId {
  const name = path.at(-1) ?? "";
  if (path.length <= 1) return name;
  const parent = pathAgent(path.slice(0, -1));
  return parent === undefined ? name : `${parent}/${name}`;
}
